"""Whole-stack tasks: everything that a stack needs, in the right order."""

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
    "from": "step to begin with; those before it are not even looked at (default: the first)",
    "only": "the only step to do (default: all)",
}
_DATA = "homes and models as well; asks for project and stack (default: they stay; of a cloud's cluster, the home)"
_JSON = {"json": "for programs (default: a table)"}
_SECONDS = {"seconds": "how long to wait for each part (default: 600)"}


@stack_task(changes=True, asks=True, help={**_STEPS, **_SECONDS})
def up(c: Context, session: Session, from_: str = "", only: str = "", seconds: str = "600") -> None:
    """Bring the stack up, from whatever is there to a lab that answers; prints its address."""
    from devai_tasks.stack import workloads

    _work(session, workloads.of(session).up(seconds=seconds_of(seconds)), start=from_, only=only)
    if not (only or session.dry):
        after = session.reloaded()
        state.remember(session.project, session.stack, after.configuration.plain)
        show_address(after)


@stack_task(changes=True, asks=True, help={**_STEPS, "data": _DATA})
def down(c: Context, session: Session, data: bool = False, from_: str = "", only: str = "") -> None:
    """Take the stack down; homes and models stay unless --data is given, of a cloud's cluster the home."""
    from devai_tasks.stack import workloads

    _work(session, workloads.of(session).down(data=data), start=from_, only=only)


@stack_task(changes=True, asks=True)
def stop(c: Context, session: Session) -> None:
    """Bring what computes to zero, and keep all else; kernels end."""
    from devai_tasks.stack import workloads

    _work(session, workloads.of(session).stop())


@stack_task(changes=True, asks=True, help=_SECONDS)
def start(c: Context, session: Session, seconds: str = "600") -> None:
    """Bring back what `stop` has stopped, as it was; `up` applies changes, too."""
    from devai_tasks.stack import workloads

    _work(session, workloads.of(session).start(seconds=seconds_of(seconds)))
    show_address(session.reloaded())


@stack_task(
    alone=True,
    help={
        **_JSON,
        "markdown": "for a pull request (default: a table)",
        "detailed_exitcode": "exit with 2 where something changes (default: no)",
    },
)
def plan(
    c: Context, session: Session, json: bool = False, markdown: bool = False, detailed_exitcode: bool = False
) -> None:
    """Show what `up` would change, on all targets at once."""
    from invoke.exceptions import Exit

    from devai_tasks.stack import status

    found = status.compare(session)
    if session.dry:
        return
    if json:
        console.show_json(found.as_json())
    elif markdown:
        console.show(found.markdown())
    else:
        if found.changes:
            rows = [[one.target, one.kind, one.what, one.detail] for one in found.changes]
            console.table(["target", "", "what", ""], rows)
        for key, (before, now) in found.keys.items():
            console.say(f"{key}: {before} -> {now}")
        for note in found.notes:
            console.say(note)
        console.show(f"{found.stack}: {found.sentence}")
    if detailed_exitcode and found.changes:
        raise Exit(code=2)


@stack_task(help=_JSON)
def status(c: Context, session: Session, json: bool = False) -> None:
    """Show what runs where, in which version, at which address, and whether it is as configured."""
    from devai_tasks.stack import status

    found = status.of(session)
    if session.dry:
        return None
    if json:
        return console.show_json(found)
    columns = ["target", "what", "state", "version"]
    console.table(columns, [[row[name] for name in columns] for row in found["rows"]])
    for name in ("owner", "address", "drift", "last change"):
        if found[name]:
            console.show(f"{name}: {found[name]}")


@stack_task(name="open", owned=True, help={"print": "only print it (default: open a browser as well)"})
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
        "service": "devai or ollama, on this machine chroma, too (default: all); can be repeated",
        "follow": "go on as more comes, until Ctrl-C (default: no)",
        "tail": "lines from the end of each (default: all)",
    },
    iterable=["service"],
)
def logs(c: Context, session: Session, service: list[str], follow: bool = False, tail: str = "all") -> None:
    """Show what the stack's services print."""
    from devai_tasks.stack import workloads

    check_tail(tail)
    for line in workloads.of(session).logs(service, follow=follow, tail=tail):
        console.show(line)


def _work(session: Session, steps: Sequence[Step], *, start: str = "", only: str = "") -> None:
    from devai_tasks.stack import steps as runner

    runner.work(steps, start=start, only=only, again=session.command)


def show_address(session: Session) -> None:
    """Print the lab's address; where the configuration names none, the step before has said what leads there."""
    from devai_tasks.stack import workloads
    from devai_tasks.system.errors import DevaiError

    workload = workloads.of(session)
    if session.dry or not workload.address():
        return
    try:
        console.show(workload.link())
    except DevaiError as error:  # it is up all the same, for those who have its token
        console.show(workload.address())
        console.warn(str(error), error.code)
