"""What stands before tasks that lose something."""

from __future__ import annotations

from devai_tasks import console
from devai_tasks.config.stack import Stack
from devai_tasks.errors import UsageError


def confirm_loss(stack: Stack, what: str, confirm: str, *, dry: bool = False) -> None:
    """Go on only when the stack's name was given (`confirm`) or is typed. Raises UsageError otherwise."""
    if dry:
        return
    console.warn(f"this removes {what} of {stack}, for good")
    answer = confirm or console.ask(f"type {stack} to go on:")
    if answer is None:
        raise UsageError(f"nobody to ask; nothing was removed. Without a terminal: --confirm={stack}")
    if answer != str(stack):
        raise UsageError(f"{answer!r} is not {stack}; nothing was removed")
