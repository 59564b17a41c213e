"""Image steps: build the lab's image if it is outdated, and push it if the registry does not have it."""

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
    """Build the image for this machine if it is outdated."""
    session.docker.check()
    work_dir.check(session.project, session.settings, session.docker)  # before a build of several minutes
    building.ensure_current(session.project, session.settings, session.docker)


def push(session: Session) -> None:
    """Build the image if it is outdated, and push it if the registry does not have it."""
    settings = with_registry(session)
    session.docker.check()
    described = building.ensure_current(session.project, settings, session.docker)
    if overview.is_pushed(settings, described):
        return console.say(f"{publishing.names(session.project, settings).digest}: already pushed")
    show(publishing.push(session.project, settings, session.docker, building.Options()), json=False)


def with_registry(session: Session) -> Settings:
    """Return the settings of a stack with a registry. Raises UsageError where image.registry is empty."""
    settings = session.settings if session.dry else session.configuration.to_deploy(("image", "registry"))
    if not settings.image.registry:
        raise UsageError(
            "image.registry is empty", hint="set a registry, such as `--set image.registry=127.0.0.1:5000/lab`"
        )
    return settings


def show(published: Published, *, json: bool) -> None:
    """Print the names of an image, the immutable tag first."""
    if json:
        shown = {"name": published.name, "moving": list(published.mutable), "digest": published.digest}
        return console.show_json(shown)
    lines = [published.name, *published.mutable, *([published.digest] if published.digest else [])]
    console.show("\n".join(lines))
