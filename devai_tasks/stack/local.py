"""A stack on this machine: its images, then its containers."""

from __future__ import annotations

from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.engine.docker import Docker
from devai_tasks.system import console
from devai_tasks.targets.compose import deployment as compose
from devai_tasks.targets.image import building
from devai_tasks.workspace import state


def up(project: Project, settings: Settings, docker: Docker, *, recreate_all: bool = False) -> None:
    """Bring the stack up and wait until it is healthy; images that are missing, or out of date, are pulled or built.

    With `recreate_all`, containers are replaced though nothing in their definition has changed, and keep their images.
    """
    settings = compose.check(project, settings, docker)
    running = compose.running_image(project, settings, docker) if recreate_all else ""
    settings = building.ensure_all(project, settings, docker, running=running)
    compose.up(project, settings, docker, recreate_all=recreate_all)


def rotate(project: Project, settings: Settings, docker: Docker) -> None:
    """Replace the token of a lab on this machine; where it runs, its containers are made with the new one."""
    running = any(
        container["state"] == "running" for container in compose.compose(project, settings, docker).containers()
    )
    if running:
        compose.check(project, settings, docker)  # what keeps the lab from starting keeps the old token, too
    if not docker.dry:
        state.write(state.restart_due(project, settings.stack), "")
        state.renew_token(project, settings.stack)
    if running or docker.dry:
        try:
            return up(project, settings, docker, recreate_all=True)
        except BaseException as error:
            error.add_note(f"the old token may still open the lab; `inv up {settings.stack.flags}` ends it")
            raise
    return console.say(f"{settings.stack} does not run; the next `inv up {settings.stack.flags}` has the new token")
