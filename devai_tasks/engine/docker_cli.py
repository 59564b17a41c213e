"""The container engine, asked by its own command line, for tasks that mostly find all as it was.

What works with images is in `tools.docker`; to import that alone takes longer than the answer.
"""

from __future__ import annotations

from devai_tasks.system import process


def image(name: str, label: str) -> tuple[str, str]:
    """Return an image's id, which follows from all that is in it, and one of its labels.

    Both are empty where the engine hasn't the image, or none answers.
    """
    docker = process.which("docker")
    if not docker:
        return "", ""
    template = f'--format={{{{.Id}}}} {{{{index .Config.Labels "{label}"}}}}'
    found, _, value = process.run([docker, "image", "inspect", template, name]).stdout.strip().partition(" ")
    return found, value
