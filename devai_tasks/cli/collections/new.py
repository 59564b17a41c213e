"""New projects."""

from __future__ import annotations

from invoke.context import Context

from devai_tasks.cli.decorators import plain_task
from devai_tasks.system import console
from devai_tasks.system.errors import UsageError


@plain_task(help={"directory": "folder of the project; must be empty, or not exist"}, positional=["directory"])
def new(c: Context, directory: str) -> None:
    """Create a new project, named after its folder, with conf/, deploy/ and the other files that the tasks use."""
    import shlex
    from pathlib import Path

    from devai_tasks.workspace import scaffold, trust

    # Invoke assigns a flag to a positional argument that is still empty.
    if directory.startswith("-"):
        raise UsageError(f"{directory} is not a directory", hint="use `devai new DIRECTORY`")
    if c.config.run.dry:
        return console.say(f"would write a project to {directory}/")
    scaffold.write(Path(directory))
    name = scaffold.identify(Path(directory))
    trust.record(Path(directory))
    console.say(f"wrote the project {name} to {directory}/; next: cd {shlex.quote(directory)} && devai up")
