"""Docker Compose: the lab on this machine."""

from __future__ import annotations

from invoke.context import Context
from invoke.exceptions import Exit

from devai_tasks.cli.decorators import argv_of, check_tail, stack_task
from devai_tasks.config import image_names, naming
from devai_tasks.stack.session import Session
from devai_tasks.system import console
from devai_tasks.targets.base import LAB_ENVIRONMENT

_SERVICE = {"service": "devai, ollama or chroma (default: all); can be repeated"}


@stack_task(target="compose", changes=True, asks=True)
def up(c: Context, session: Session) -> None:
    """Build missing or outdated images, start the lab, wait until it is healthy, and print its address."""
    from devai_tasks.stack.compose_workload import ComposeWorkload

    workload = ComposeWorkload(session)
    workload.deploy()
    if not session.dry:
        console.show(workload.link())


@stack_task(
    target="compose",
    changes=True,
    asks=True,
    help={"data": "also remove notebooks and models; asks for project and stack (default: keep them)"},
)
def down(c: Context, session: Session, data: bool = False) -> None:
    """Remove the lab's containers; keep notebooks and models unless --data is given."""
    from devai_tasks.stack.compose_workload import ComposeWorkload

    ComposeWorkload(session).remove(data=data)


@stack_task(target="compose", changes=True, asks=True, help=_SERVICE, iterable=["service"])
def restart(c: Context, session: Session, service: list[str]) -> None:
    """Restart services without applying changes; `up` applies them."""
    from devai_tasks.stack import consent
    from devai_tasks.targets.compose import deployment as compose

    compose.check_services(service)
    if session.settings.protected:
        consent.allow(session, f"{' and '.join(service) or 'its services'} restart, and kernels stop")
    compose.restart(session.project, session.settings, session.docker, service)


@stack_task(
    target="compose",
    owned=True,
    help={
        **_SERVICE,
        "follow": "keep printing new lines until Ctrl-C (default: no)",
        "tail": "number of last lines of each service (default: all)",
    },
    iterable=["service"],
)
def logs(c: Context, session: Session, service: list[str], follow: bool = False, tail: str = "all") -> None:
    """Show the logs of the services."""
    from devai_tasks.stack.compose_workload import ComposeWorkload

    check_tail(tail)
    for line in ComposeWorkload(session).logs(service, follow=follow, tail=tail):
        console.show(line)


@stack_task(target="compose", owned=True, help={"json": "print JSON (default: a table)"})
def ps(c: Context, session: Session, json: bool = False) -> None:
    """Show the lab's containers."""
    from devai_tasks.targets.compose import deployment as compose

    rows = compose.compose(session.project, session.settings, session.docker).containers()
    if json:
        return console.show_json(rows)
    columns = ["service", "state", "health", "image", "published"]
    console.table(
        columns, [[" ".join(cell) if isinstance(cell := row[name], list) else cell for name in columns] for row in rows]
    )


@stack_task(target="compose", owned=True, help={"command": "command to run (default: bash)"})
def shell(c: Context, session: Session, command: str = "bash") -> None:
    """Open a shell in the lab, as the lab's user."""
    from devai_tasks.targets.compose import deployment as compose

    argv = argv_of(command)
    code = compose.compose(session.project, session.settings, session.docker).execute(
        naming.LAB,
        [*LAB_ENVIRONMENT, *argv],
        user=compose.user(session.settings, session.docker),
        workdir=compose.WORK_DIR,
    )
    if code:
        raise Exit(code=code)


@stack_task(target="compose")
def pull(c: Context, session: Session) -> None:
    """Pull the configured base image and Ollama image from their registries."""
    settings = session.settings
    for name in (image_names.base(settings), image_names.official_ollama(settings)):
        pinned = image_names.pinned(settings, name)
        with console.step(f"pulling {pinned}"):
            session.docker.pull(pinned)


@stack_task(target="compose", help={"json": "print JSON (default: YAML)"})
def config(c: Context, session: Session, json: bool = False) -> None:
    """Show the resolved Compose configuration; needs no engine."""
    from devai_tasks.targets.compose import deployment as compose
    from devai_tasks.targets.templating import yaml_documents

    definition = session.docker.compose(compose.project_files(session.project, session.settings)).config()
    if json:
        return console.show_json(definition)
    console.show(yaml_documents([definition]))
