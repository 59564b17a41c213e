"""Results of checks: one line for each check, with a hint for a problem."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from devai_tasks.workspace.ownership import Claim, Owner


class State(StrEnum):
    """What a check means for the stack."""

    OK = "ok"
    ADVICE = "advice"
    """The stack can run, but something should be reviewed."""
    FAILED = "failed"
    """The stack can't run."""
    UNNEEDED = "unneeded"
    """The stack does not need it."""


@dataclass(frozen=True)
class Fix:
    """A fix of a problem without root, without cost and without data loss."""

    title: str
    act: Callable[[], object]


@dataclass(frozen=True)
class Check:
    """The result of one check."""

    group: str
    name: str
    state: State
    found: str
    wanted: str = ""
    hint: str = ""
    fix: Fix | None = field(default=None, compare=False)

    def as_json(self) -> dict[str, Any]:
        """Return the check as plain values, for `--json`."""
        return {
            "group": self.group,
            "name": self.name,
            "state": str(self.state),
            "found": self.found,
            "wanted": self.wanted,
            "way_out": self.hint,
            "fixable": self.fix is not None,
        }


def of_owner(group: str, owner: Owner, *, bad: State, task: str) -> Check:
    """Return the check of a stack's owner.

    Args:
        group: the group of the check.
        owner: the owner of the stack.
        bad: the state for a foreign stack, which tasks refuse to change.
        task: the task that asks before it takes over a stack whose owner is unclear.
    """
    if owner.claim in (Claim.FREE, Claim.OWN):
        return Check(group, "owner", State.OK, owner.summary)
    if owner.claim is Claim.UNCLEAR:
        return Check(
            group, "owner", State.ADVICE, owner.summary, owner.own, f"`inv {task}` asks before it takes the stack over"
        )
    return Check(group, "owner", bad, owner.summary, owner.own, owner.hint)


def gibibytes(count: float) -> str:
    """Return a number of bytes in GiB, for display."""
    return f"{count / 2**30:.1f} GiB"
