"""The container engine, asked by its own command line, for tasks that mostly find all as it was.

What works with images is in `tools.docker`; to import that alone takes longer than the answer.
"""

from __future__ import annotations

import shutil
import subprocess


def image(name: str, label: str) -> tuple[str, str]:
    """An image's id, which follows from all that is in it, and one of its labels.

    Both are empty where the engine hasn't the image, or none answers.
    """
    program = shutil.which("docker")
    if not program:
        return "", ""
    command = [program, "image", "inspect", f'--format={{{{.Id}}}} {{{{index .Config.Labels "{label}"}}}}', name]
    answer = subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603 - a question
    found, _, value = answer.strip().partition(" ")
    return found, value
