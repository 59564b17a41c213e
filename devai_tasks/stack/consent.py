"""Consent: a question before a task changes something, and the name to type before something is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from devai_tasks.config import naming
from devai_tasks.stack.session import Session
from devai_tasks.system import console
from devai_tasks.system.errors import UsageError
from devai_tasks.workspace.ownership import Claim, Owner

# What replacing the lab's token does.
ROTATION = "its token is replaced, and every session and kernel ends"


def allow(session: Session, effect: str, *, loses: str = "") -> None:
    """Go on only where the person wants it: after a y, or with `--yes`.

    Where something is lost for good (`loses` names it), and for a protected stack, it takes the names of project and
    stack, typed or as `--confirm=`. Raises UsageError otherwise.
    """
    if session.dry:
        return
    stack, name = session.stack, naming.stack(session.settings)
    if not (loses or session.settings.protected):
        if not session.yes:
            _agreed(f"{stack}: {effect}; go on?", _unanswered("--yes"))
        return
    console.warn(f"{stack}: {effect}" + (f"; this removes {loses}, for good" if loses else f"; {stack} is protected"))
    answer = session.confirm or console.ask(f"type {name} to go on:")
    if answer is None:
        raise _unanswered(f"--confirm={name}")
    if answer != name:
        raise UsageError(f"{answer!r} is not {name}; nothing was changed")


def take_over(session: Session, owner: Owner) -> None:
    """Ask before what is unclear is taken over."""
    if owner.claim is Claim.UNCLEAR and not session.take_over:
        console.warn(owner.sentence)
        message, hint = "no terminal to ask at; nothing was changed", "`--take-over` takes it over"
        _agreed("take it over?", UsageError(message, hint=hint, code="DEVAI-STACK-006"))


@contextmanager
def rotating(session: Session) -> Iterator[None]:
    """While what runs gets a new token: have an error say that the old one may still be good."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"the old token may still open the lab; `{session.command}`, once more, ends it")
        raise


def _unanswered(flag: str) -> UsageError:
    """Return the error for a question without a terminal; `flag` answers it."""
    return UsageError("nobody to ask; nothing was changed", hint=f"without a terminal: {flag}", code="DEVAI-STACK-004")


def _agreed(question: str, without_terminal: UsageError) -> None:
    """Go on only where the user agrees. Raises UsageError otherwise: `without_terminal` where there is no terminal."""
    agreed = console.agrees(question)
    if not agreed:
        raise without_terminal if agreed is None else UsageError("nothing was changed")
