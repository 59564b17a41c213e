"""A project of one's own."""

from __future__ import annotations

from invoke.context import Context

from devai_tasks.cli.decorators import plain_task
from devai_tasks.system import console
from devai_tasks.system.errors import UsageError


@plain_task(help={"directory": "where to; must not exist, or be empty"}, positional=["directory"])
def new(c: Context, directory: str) -> None:
    """Write a new project, named after its folder: conf/, deploy/ and what else the tasks work on."""
    import shlex
    from pathlib import Path

    from devai_tasks.workspace import scaffold, trust

    # Invoke hands a flag to a positional that is still empty.
    if directory.startswith("-"):
        raise UsageError(f"{directory} is not a directory", hint="`devai new DIRECTORY`")
    if c.config.run.dry:
        return console.say(f"would write a project to {directory}/")
    scaffold.write(Path(directory))
    name = scaffold.identify(Path(directory))
    trust.record(Path(directory))
    console.say(f"wrote the project {name} to {directory}/; next: cd {shlex.quote(directory)} && devai up")
