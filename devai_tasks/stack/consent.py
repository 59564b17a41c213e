"""Consent: a question before a task changes a stack, and a name to type before data is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from devai_tasks.config import naming
from devai_tasks.stack.session import Session
from devai_tasks.system import console
from devai_tasks.system.errors import UsageError
from devai_tasks.workspace.ownership import Claim, Owner

# What replacing the lab's token does.
ROTATION = "its token is replaced, and all sessions and kernels stop"


def allow(session: Session, effect: str, *, loses: str = "") -> None:
    """Continue only where the user agrees: with y, or with `--yes`.

    Where data is lost permanently, and for a protected stack, the user has to type the name of project and stack, or
    pass it as `--confirm=`.

    Args:
        session: the run of the task.
        effect: what the task does to the stack.
        loses: what is lost permanently; empty where nothing is.

    Raises:
        UsageError: the user does not agree, or there is no terminal to ask.
    """
    if session.dry:
        return
    stack, name = session.stack, naming.stack(session.settings)
    if not (loses or session.settings.protected):
        if not session.yes:
            _require_agreement(f"{stack}: {effect}; continue?", _unanswered("--yes"))
        return
    console.warn(f"{stack}: {effect}" + (f"; this permanently removes {loses}" if loses else f"; {stack} is protected"))
    answer = session.confirm or console.ask(f"type {name} to continue:")
    if answer is None:
        raise _unanswered(f"--confirm={name}")
    if answer != name:
        raise UsageError(f"{answer!r} is not {name}; nothing was changed")


def require(question: str) -> None:
    """Continue only where the user answers with y, for a task without a stack. Raises UsageError otherwise."""
    _require_agreement(question, _unanswered("--yes"))


def take_over(session: Session, owner: Owner) -> None:
    """Ask before a stack whose owner is unclear is taken over."""
    if owner.claim is Claim.UNCLEAR and not session.take_over:
        console.warn(owner.sentence)
        message, hint = "no terminal to ask; nothing was changed", "`--take-over` takes the stack over"
        _require_agreement("take the stack over?", UsageError(message, hint=hint, code="DEVAI-STACK-006"))


@contextmanager
def rotating(session: Session) -> Iterator[None]:
    """Add a note to errors while the lab gets a new token: the old token may still be valid."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"the old token may still be valid; repeat `{session.command}` to revoke it")
        raise


def _unanswered(flag: str) -> UsageError:
    """Return the error for a question without a terminal; `flag` answers the question."""
    return UsageError("no terminal to ask; nothing was changed", hint=f"pass {flag}", code="DEVAI-STACK-004")


def _require_agreement(question: str, without_terminal: UsageError) -> None:
    """Continue only where the user agrees. Raises UsageError otherwise, and `without_terminal` without a terminal."""
    agreed = console.agrees(question)
    if not agreed:
        raise without_terminal if agreed is None else UsageError("nothing was changed")
