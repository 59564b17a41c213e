"""A project of one's own."""

from __future__ import annotations

from invoke.context import Context

from devai_tasks import console
from devai_tasks.errors import UsageError
from devai_tasks.tasks.declare import plain_task


@plain_task(help={"directory": "where to; must not exist, or be empty"}, positional=["directory"])
def new(c: Context, directory: str) -> None:
    """Write a new project: conf/, deploy/ and what else the tasks work on."""
    from pathlib import Path

    from devai_tasks.operations import scaffold

    # Invoke hands a flag to a positional that is still empty.
    if directory.startswith("-"):
        raise UsageError("usage: devai new DIRECTORY")
    target = Path(directory)
    scaffold.write(target)
    console.say(f"wrote a project to {target}/; next: cd {target} && devai up")
