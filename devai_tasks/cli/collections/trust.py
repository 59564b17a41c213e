"""Trust in a project."""

from __future__ import annotations

from invoke.context import Context

from devai_tasks.cli.decorators import plain_task
from devai_tasks.system import console
from devai_tasks.system.errors import UsageError


@plain_task()
def trust(c: Context) -> None:
    """Allow the command `devai` to use this project on this machine, without asking."""
    from devai_tasks.config.project import Project
    from devai_tasks.workspace import trust as operation

    root = Project.find().root
    if c.config.run.dry:
        return console.say(f"would trust {root}")
    operation.record(root)
    console.say(f"{root} is trusted on this machine")


def ensure() -> None:
    """Ask whether the project in or above the current folder may be used; a task outside of one says so itself."""
    from devai_tasks.config.project import Project
    from devai_tasks.workspace import trust as operation

    try:
        project = Project.find()
    except UsageError:
        return
    operation.ensure(project.root)
