"""The lab's image of a stack: built where something has changed, and pushed where the registry has not this one."""

from __future__ import annotations

from devai_tasks.config.schema import Settings
from devai_tasks.stack import overview
from devai_tasks.stack.session import Session
from devai_tasks.system import console
from devai_tasks.system.errors import UsageError
from devai_tasks.targets.image import building, publishing
from devai_tasks.targets.image.publishing import Published
from devai_tasks.workspace import work_dir


def build(session: Session) -> None:
    """Build the image for this machine, where something has changed."""
    session.docker.check()
    work_dir.check(session.project, session.settings, session.docker)  # not after minutes of building
    building.provide(session.project, session.settings, session.docker)


def push(session: Session) -> None:
    """Build the image where something has changed, and push it where the registry has not this one."""
    settings = with_registry(session)
    session.docker.check()
    described = building.provide(session.project, settings, session.docker)
    if overview.is_pushed(settings, described):
        return console.say(f"{publishing.names(session.project, settings).digest}: pushed already")
    show(publishing.push(session.project, settings, session.docker, building.Options()), json=False)


def with_registry(session: Session) -> Settings:
    """Return the settings of a stack whose registry is known. Raises UsageError for another."""
    settings = session.settings if session.dry else session.configuration.to_deploy(("image", "registry"))
    if not settings.image.registry:
        raise UsageError("image.registry is empty", hint="name one, as `--set image.registry=127.0.0.1:5000/lab`")
    return settings


def show(published: Published, *, json: bool) -> None:
    """Print the names of an image; the immutable one comes first."""
    if json:
        shown = {"name": published.name, "moving": list(published.moving), "digest": published.digest}
        return console.show_json(shown)
    lines = [published.name, *published.moving, *([published.digest] if published.digest else [])]
    console.show("\n".join(lines))
