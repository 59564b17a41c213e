"""Writing of a stack's artifacts to the folder that the tools of a run read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.workspace import runs, writer
from devai_tasks.workspace.writer import Artifacts


def provide(project: Project, stack: Stack, files: Callable[[str], Artifacts]) -> Path:
    """Write the artifacts of a stack to the folder that the tools of this run read; return that folder.

    The folder is the stack's own, unless another run is changing the stack: the tools of that run may still read the
    stack's folder minutes later. A read-only run then writes to a hidden folder beside the stack's.

    Args:
        project: the project.
        stack: the stack.
        files: returns the artifacts for a folder, which is given relative to the project's root.
    """
    folder = project.artifacts(stack)
    # A run that changes the stack acquires the stack's lock before it writes here. If the lock is free, no other run
    # reads this folder yet.
    with writer.alone(folder):
        if not runs.other_run(project, stack):
            return writer.put(files(folder.relative_to(project.root).as_posix()), folder)
    hidden = folder.with_name(f".{folder.name}")
    return writer.write(files(hidden.relative_to(project.root).as_posix()), hidden)
