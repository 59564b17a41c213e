"""Tasks of the whole stack, across all its targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.context import Context

from devai_tasks.cli.decorators import check_tail, seconds_of, stack_task
from devai_tasks.stack.session import Session
from devai_tasks.system import console
from devai_tasks.workspace import state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from devai_tasks.stack.steps import Step

_STEPS = {
    "from": "first step to run; earlier steps are skipped (default: the first)",
    "only": "only step to run (default: all)",
}
_DATA = (
    "also remove homes and models; asks for project and stack (default: keep them; in a cloud's cluster, only the home)"
)
_JSON = {"json": "print JSON (default: a table)"}
_SECONDS = {"seconds": "seconds to wait for each part (default: 600)"}


@stack_task(changes=True, asks=True, help={**_STEPS, **_SECONDS})
def up(c: Context, session: Session, from_: str = "", only: str = "", seconds: str = "600") -> None:
    """Bring the stack up to its configured state, wait until the lab answers, and print its address."""
    from devai_tasks.stack import workloads

    _work(session, workloads.of(session).up(seconds=seconds_of(seconds)), start=from_, only=only)
    if not (only or session.dry):
        session = session.reloaded()
        state.remember(session.project, session.stack, session.configuration.plain)
        show_address(session)


@stack_task(changes=True, asks=True, help={**_STEPS, "data": _DATA})
def down(c: Context, session: Session, data: bool = False, from_: str = "", only: str = "") -> None:
    """Take the stack down; keep homes and models (in a cloud's cluster, the home) unless --data is given."""
    from devai_tasks.stack import workloads

    _work(session, workloads.of(session).down(data=data), start=from_, only=only)


@stack_task(changes=True, asks=True)
def stop(c: Context, session: Session) -> None:
    """Scale the stack to zero, and keep everything else; kernels stop."""
    from devai_tasks.stack import workloads

    _work(session, workloads.of(session).stop())


@stack_task(changes=True, asks=True, help=_SECONDS)
def start(c: Context, session: Session, seconds: str = "600") -> None:
    """Start what `stop` has stopped, without applying changes; `up` applies them."""
    from devai_tasks.stack import workloads

    _work(session, workloads.of(session).start(seconds=seconds_of(seconds)))
    show_address(session.reloaded())


@stack_task(
    exclusive=True,
    help={
        **_JSON,
        "markdown": "print Markdown for a pull request (default: a table)",
        "detailed_exitcode": "exit with 2 if anything would change (default: no)",
    },
)
def plan(
    c: Context, session: Session, json: bool = False, markdown: bool = False, detailed_exitcode: bool = False
) -> None:
    """Show what `up` would change in all targets."""
    from invoke.exceptions import Exit

    from devai_tasks.stack import status

    result = status.compare(session)
    if session.dry:
        return
    if json:
        console.show_json(result.as_json())
    elif markdown:
        console.show(result.markdown())
    else:
        if result.changes:
            rows = [[change.target, change.kind, change.what, change.detail] for change in result.changes]
            console.table(["target", "", "what", ""], rows)
        for key, (before, now) in result.keys.items():
            console.say(f"{key}: {before} -> {now}")
        for note in result.notes:
            console.say(note)
        console.show(f"{result.stack}: {result.sentence}")
    if detailed_exitcode and result.changes:
        raise Exit(code=2)


@stack_task(help=_JSON)
def status(c: Context, session: Session, json: bool = False) -> None:
    """Show what runs, its version and address, and how it differs from the configuration."""
    from devai_tasks.stack import status

    result = status.of(session)
    if session.dry:
        return None
    if json:
        return console.show_json(result)
    columns = ["target", "what", "state", "version"]
    console.table(columns, [[row[name] for name in columns] for row in result["rows"]])
    for name in ("owner", "address", "drift", "last change"):
        if result[name]:
            console.show(f"{name}: {result[name]}")


@stack_task(name="open", owned=True, help={"print": "only print the address (default: also open a browser)"})
def open_(c: Context, session: Session, print: bool = False) -> None:
    """Open the lab in a browser, with its token."""
    from devai_tasks.stack import workloads

    address = workloads.of(session).opened()
    if session.dry:
        return console.say(address if print else f"python -m webbrowser {address}")
    console.show(address)
    if not print:
        from devai_tasks.system import browser

        browser.open_page(address, state.private_folder(session.project.state(session.stack)))
    return None


@stack_task(
    owned=True,
    help={
        "service": "devai or ollama, and chroma on this machine (default: all); can be repeated",
        "follow": "keep printing new lines until Ctrl-C (default: no)",
        "tail": "number of last lines of each service (default: all)",
    },
    iterable=["service"],
)
def logs(c: Context, session: Session, service: list[str], follow: bool = False, tail: str = "all") -> None:
    """Show the logs of the stack's services."""
    from devai_tasks.stack import workloads

    check_tail(tail)
    for line in workloads.of(session).logs(service, follow=follow, tail=tail):
        console.show(line)


def _work(session: Session, steps: Sequence[Step], *, start: str = "", only: str = "") -> None:
    from devai_tasks.stack import steps as runner

    runner.work(steps, start=start, only=only, again=session.command)


def show_address(session: Session) -> None:
    """Print the lab's address; where the configuration has none, the previous step has printed how to reach the lab."""
    from devai_tasks.stack import workloads
    from devai_tasks.system.errors import DevaiError

    workload = workloads.of(session)
    if session.dry or not workload.address():
        return
    try:
        console.show(workload.link())
    except DevaiError as error:  # the lab is up, but its token is not available here
        console.show(workload.address())
        console.warn(str(error), error.code)
