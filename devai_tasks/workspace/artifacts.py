"""Artifacts of a stack where the tools of a run read them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.workspace import runs, writer
from devai_tasks.workspace.writer import Artifacts


def provide(project: Project, stack: Stack, files: Callable[[str], Artifacts]) -> Path:
    """Have files of a stack where the tools of this run read them: `files` makes them for a folder, which is returned.

    It is the stack's own, except for a look while another run changes the stack: that one's tools may read what is
    there minutes from now. What the look reads is beside it.
    """
    own = project.artifacts(stack)
    # Whoever changes the stack has its lock before it writes here: what is free now is not read by it yet.
    with writer.alone(own):
        if not runs.other(project, stack):
            return writer.put(files(own.relative_to(project.root).as_posix()), own)
    beside = own.with_name(f".{own.name}")
    return writer.write(files(beside.relative_to(project.root).as_posix()), beside)
