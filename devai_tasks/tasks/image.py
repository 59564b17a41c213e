"""Images: what the lab runs."""

from __future__ import annotations

from invoke.context import Context

from devai_tasks.tasks.declare import Request, plain_task, stack_task


@stack_task()
def build(c: Context, request: Request) -> None:
    """Build the lab's image."""
    from devai_tasks.operations import images

    request.docker.check()
    images.build(request.project, request.settings, request.docker)


@plain_task()
def lock(c: Context) -> None:
    """Lock the newest versions of the Python packages in the lab's image."""
    from devai_tasks.config.project import Project
    from devai_tasks.tools import uv

    folder = Project.find().root / "deploy/image/requirements"
    for requirements in sorted(folder.glob("*.in")):
        uv.lock(requirements, requirements.with_suffix(".lock"), dry=bool(c.config.run.dry))
