"""What a look at this machine finds: one check, one line, and on a problem a hint."""

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
    """The stack runs; it deserves a look."""
    FAILED = "failed"
    """The stack can't run."""
    UNNEEDED = "unneeded"
    """Of no concern to this stack."""


@dataclass(frozen=True)
class Fix:
    """What fixes a problem without root, without cost and without loss."""

    title: str
    act: Callable[[], object]


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    group: str
    name: str
    state: State
    found: str
    wanted: str = ""
    hint: str = ""
    fix: Fix | None = field(default=None, compare=False)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "group": self.group,
            "name": self.name,
            "state": str(self.state),
            "found": self.found,
            "wanted": self.wanted,
            "way_out": self.hint,
            "fixable": self.fix is not None,
        }


def of_owner(group: str, found: Owner, *, bad: State, task: str) -> Check:
    """Whose a stack is: tasks refuse to change a foreign one, and `task` asks before it takes one over."""
    if found.claim in (Claim.FREE, Claim.OWN):
        return Check(group, "owner", State.OK, found.words)
    if found.claim is Claim.UNCLEAR:
        return Check(group, "owner", State.ADVICE, found.words, found.own, f"`inv {task}` asks, and takes it over")
    return Check(group, "owner", bad, found.words, found.own, found.hint)


def gibibytes(count: float) -> str:
    """A number of bytes, in words for a person."""
    return f"{count / 2**30:.1f} GiB"
