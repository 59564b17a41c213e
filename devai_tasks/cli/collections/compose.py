"""Docker Compose: the lab on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit

from devai_tasks.cli.decorators import Request, check_tail, stack_task, words_of
from devai_tasks.config import image_names, naming
from devai_tasks.system import console
from devai_tasks.targets.base import LAB_ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SERVICE = {"service": "devai, ollama or chroma (default: all); can be repeated"}


@stack_task(target="compose", changes=True, asks=True)
def up(c: Context, request: Request) -> None:
    """Start the lab, wait until it is healthy, and print its address; what lacks, or is out of date, is built."""
    roll_out(request)
    show_address(request)


def roll_out(request: Request) -> None:
    """Start the lab, and wait until it is healthy."""
    from devai_tasks.cli import confirm
    from devai_tasks.stack import local

    if request.settings.protected:
        confirm.allow(request, "containers that have changed are replaced, and kernels in them end")
    local.up(request.project, request.settings, request.docker)


def show_address(request: Request) -> None:
    """Print where the lab is, with its token: for the person's terminal only."""
    from devai_tasks.targets.compose import deployment as compose

    if not request.dry:
        console.show(compose.link(request.project, request.settings, request.docker))


@stack_task(
    target="compose",
    changes=True,
    asks=True,
    help={"data": "remove notebooks and models as well; asks for project and stack (default: they stay)"},
)
def down(c: Context, request: Request, data: bool = False) -> None:
    """Stop the lab; notebooks and models stay unless --data is given."""
    take_down(request, data=data)


def take_down(request: Request, *, data: bool) -> None:
    """Stop the lab, after a question where that loses something."""
    from devai_tasks.cli import confirm
    from devai_tasks.targets.compose import deployment as compose
    from devai_tasks.targets.compose import ownership as folder_ownership

    if data or request.settings.protected:
        confirm.allow(request, "the lab stops", loses="all notebooks in its home and all its models" if data else "")
    compose.compose(request.project, request.settings, request.docker).down(volumes=data)
    if data and not request.dry:
        folder_ownership.unmark_folder(request.settings)


def rotate(request: Request) -> None:
    """Ask, and replace the lab's token; containers that run are made with the new one."""
    from devai_tasks.cli import confirm
    from devai_tasks.stack import local

    confirm.allow(request, confirm.ROTATION)
    local.rotate(request.project, request.settings, request.docker)


def stop(request: Request) -> None:
    """Stop the containers, and keep them."""
    from devai_tasks.cli import confirm
    from devai_tasks.targets.compose import deployment as compose

    if request.settings.protected:
        confirm.allow(request, "the lab stops, and its kernels end")
    compose.compose(request.project, request.settings, request.docker).stop()


def start(request: Request) -> None:
    """Start the containers as they are, and wait until they are healthy."""
    from devai_tasks.targets.compose import deployment as compose

    compose.start(request.project, request.settings, request.docker)


@stack_task(target="compose", changes=True, asks=True, help=_SERVICE, iterable=["service"])
def restart(c: Context, request: Request, service: list[str]) -> None:
    """Restart services as they are; `up` applies changes."""
    from devai_tasks.cli import confirm
    from devai_tasks.targets.compose import deployment as compose

    compose.check_services(service)
    if request.settings.protected:
        confirm.allow(request, f"{' and '.join(service) or 'its services'} begin anew, and kernels end")
    compose.restart(request.project, request.settings, request.docker, service)


@stack_task(
    target="compose",
    owned=True,
    help={
        **_SERVICE,
        "follow": "go on as more comes, until Ctrl-C (default: no)",
        "tail": "lines from the end of each (default: all)",
    },
    iterable=["service"],
)
def logs(c: Context, request: Request, service: list[str], follow: bool = False, tail: str = "all") -> None:
    """Show what the services print."""
    for line in lines(request, service, follow=follow, tail=tail):
        console.show(line)


def lines(request: Request, services: Sequence[str], *, follow: bool, tail: str) -> Iterator[str]:
    """What services print, all for none."""
    from devai_tasks.targets.compose import deployment as compose

    compose.check_services(services)
    check_tail(tail)
    return compose.compose(request.project, request.settings, request.docker).logs(services, follow=follow, tail=tail)


@stack_task(target="compose", owned=True, help={"json": "for programs (default: a table)"})
def ps(c: Context, request: Request, json: bool = False) -> None:
    """Show the lab's containers."""
    from devai_tasks.targets.compose import deployment as compose

    rows = compose.compose(request.project, request.settings, request.docker).containers()
    if json:
        return console.show_json(rows)
    columns = ["service", "state", "health", "image", "published"]
    console.table(
        columns, [[" ".join(cell) if isinstance(cell := row[name], list) else cell for name in columns] for row in rows]
    )


@stack_task(target="compose", owned=True, help={"command": "what to run (default: bash)"})
def shell(c: Context, request: Request, command: str = "bash") -> None:
    """Open a shell in the lab, as the lab's own user."""
    from devai_tasks.targets.compose import deployment as compose

    words = words_of(command)
    own = compose.compose(request.project, request.settings, request.docker)
    code = own.execute(
        naming.LAB,
        [*LAB_ENVIRONMENT, *words],
        user=compose.user(request.settings, request.docker),
        workdir=compose.WORK_DIR,
    )
    if code:
        raise Exit(code=code)


@stack_task(target="compose")
def pull(c: Context, request: Request) -> None:
    """Bring the newest base image and Ollama image from their registries."""
    settings = request.settings
    for name in (image_names.base(settings), image_names.official_ollama(settings)):
        pinned = image_names.pinned(settings, name)
        with console.step(f"pulling {pinned}"):
            request.docker.pull(pinned)


@stack_task(target="compose", help={"json": "for programs (default: YAML)"})
def config(c: Context, request: Request, json: bool = False) -> None:
    """Show the Compose definition as Compose reads it; needs no engine."""
    from devai_tasks.targets.compose import deployment as compose
    from devai_tasks.targets.templating import yaml_documents

    definition = request.docker.compose(compose.project_files(request.project, request.settings)).config()
    if json:
        return console.show_json(definition)
    console.show(yaml_documents([definition]))
