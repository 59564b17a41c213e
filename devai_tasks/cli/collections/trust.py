"""Trust in projects."""

from __future__ import annotations

from invoke.context import Context

from devai_tasks.cli.decorators import plain_task
from devai_tasks.system import console
from devai_tasks.system.errors import UsageError


@plain_task()
def trust(c: Context) -> None:
    """Trust this project on this machine, so that `devai` does not ask."""
    from devai_tasks.config.project import Project
    from devai_tasks.workspace import trust as project_trust

    root = Project.find().root
    if c.config.run.dry:
        return console.say(f"would trust {root}")
    project_trust.record(root)
    console.say(f"{root} is trusted on this machine")


def ensure() -> None:
    """Ask whether to trust the project in or above the current folder; outside a project, the task itself raises."""
    from devai_tasks.config.project import Project
    from devai_tasks.workspace import trust as project_trust

    try:
        project = Project.find()
    except UsageError:
        return
    project_trust.ensure(project.root)
