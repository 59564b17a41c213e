"""Docker Compose: the lab on this machine."""

from __future__ import annotations

from invoke.context import Context
from invoke.exceptions import Exit

from devai_tasks import console
from devai_tasks.errors import UsageError
from devai_tasks.tasks.declare import Request, stack_task

_SERVICE = {"service": "devai or ollama (default: both); can be repeated"}


@stack_task()
def up(c: Context, request: Request) -> None:
    """Start the lab, wait until it is healthy, and print its address; images are built where they lack."""
    from devai_tasks.operations import lab

    lab.up(request.project, request.settings, request.docker)
    if not request.dry:
        console.show(lab.link(request.project, request.settings))


@stack_task(
    help={
        "data": "remove notebooks and models as well; asks for the stack's name (default: they stay)",
        "confirm": "the stack's name, where nobody can be asked",
    }
)
def down(c: Context, request: Request, data: bool = False, confirm: str = "") -> None:
    """Stop the lab; notebooks and models stay unless --data is given."""
    from devai_tasks.operations import lab
    from devai_tasks.tasks import guard

    if data:
        guard.confirm_loss(request.stack, "all notebooks in its home and all its models", confirm, dry=request.dry)
    lab.compose(request.project, request.settings, request.docker).down(volumes=data)


@stack_task(help=_SERVICE, iterable=["service"])
def restart(c: Context, request: Request, service: list[str]) -> None:
    """Restart services as they are; `up` applies changes."""
    from devai_tasks.operations import lab

    lab.check_services(service)
    lab.compose(request.project, request.settings, request.docker).restart(service)


@stack_task(
    help={
        **_SERVICE,
        "follow": "go on as more comes, until Ctrl-C (default: no)",
        "tail": "lines from the end of each (default: all)",
    },
    iterable=["service"],
)
def logs(c: Context, request: Request, service: list[str], follow: bool = False, tail: str = "all") -> None:
    """Show what the services print."""
    from devai_tasks.operations import lab

    lab.check_services(service)
    if tail != "all" and not tail.isdigit():
        raise UsageError(f"--tail={tail}: `all` or a number of lines")
    own = lab.compose(request.project, request.settings, request.docker)
    for line in own.logs(service, follow=follow, tail=tail):
        console.show(line)


@stack_task(help={"json": "for programs (default: a table)"})
def ps(c: Context, request: Request, json: bool = False) -> None:
    """Show the lab's containers."""
    from devai_tasks.operations import lab

    rows = lab.compose(request.project, request.settings, request.docker).containers()
    if json:
        return console.show_json(rows)
    columns = ["service", "state", "health", "image", "published"]
    console.table(
        columns, [[" ".join(cell) if isinstance(cell := row[name], list) else cell for name in columns] for row in rows]
    )


@stack_task(help={"command": "what to run (default: bash)"})
def shell(c: Context, request: Request, command: str = "bash") -> None:
    """Open a shell in the lab, as the lab's own user."""
    import shlex

    from devai_tasks.operations import lab

    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--command={command}: {error}") from error
    if not words:
        raise UsageError("--command is empty; without it, bash is started")
    own = lab.compose(request.project, request.settings, request.docker)
    code = own.execute(lab.LAB, [*lab.AS_THE_LAB_DOES, *words], user=lab.user(request.settings), workdir=lab.WORK_DIR)
    if code:
        raise Exit(code=code)


@stack_task()
def pull(c: Context, request: Request) -> None:
    """Bring the newest base image and Ollama image from their registries."""
    from devai_tasks.render import image

    for name in (image.base(request.settings), request.settings.ollama.image):
        with console.step(f"pulling {name}"):
            request.docker.pull(name)


@stack_task(help={"json": "for programs (default: YAML)"})
def config(c: Context, request: Request, json: bool = False) -> None:
    """Show the Compose definition as Compose reads it; needs no engine."""
    import yaml

    from devai_tasks.operations import lab

    definition = request.docker.compose(lab.project_files(request.project, request.settings)).config()
    if json:
        return console.show_json(definition)
    console.show(yaml.safe_dump(definition, sort_keys=False))
