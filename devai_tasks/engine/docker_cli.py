"""Queries to the container engine by its command line, for tasks that usually change nothing.

`engine.docker` works with images, but importing that module takes longer than the query itself.
"""

from __future__ import annotations

from devai_tasks.system import process


def image(name: str, label: str) -> tuple[str, str]:
    """Return an image's ID, a digest of its content, and the value of a label.

    Both are empty if the engine does not have the image, or no engine answers.
    """
    docker = process.which("docker")
    if not docker:
        return "", ""
    template = f'--format={{{{.Id}}}} {{{{index .Config.Labels "{label}"}}}}'
    image_id, _, value = process.run([docker, "image", "inspect", template, name]).stdout.strip().partition(" ")
    return image_id, value
