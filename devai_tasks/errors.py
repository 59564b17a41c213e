"""The exceptions that become one clean message and an exit code.

A class exists where somebody catches it, or where the exit code differs: 2 for what the person who typed the command
can mend (`UsageError`), 1 for what the world did (`DevaiError`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches


class DevaiError(Exception):
    """What went wrong and what to do next, in words for a person."""

    exit_code = 1


class UsageError(DevaiError):
    """The command line or the configuration asks for something that can't be."""

    exit_code = 2


class ToolMissing(DevaiError):  # noqa: N818 - reads as what happened
    """A program that the task needs is not there, or too old."""


class ToolFailed(DevaiError):  # noqa: N818 - the same
    """A program ran and failed."""


# Characters of what a message quotes: three lines of a terminal.
LONGEST_QUOTE = 240


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong in the configuration.

    `place` is `file:line:column`, or the flag or variable that says it; `found` quotes it; `remedy` is what is allowed.
    """

    place: str
    found: str
    remedy: str

    def __str__(self) -> str:
        return f"{one_line(self.place)}  {one_line(self.found)}\n  {one_line(self.remedy)}"


def one_line(text: str) -> str:
    """A text as it can stand in a message, whatever a person has typed."""
    shown = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)
    return shown if len(shown) <= LONGEST_QUOTE else f"{shown[: LONGEST_QUOTE - 3]}..."


class ConfigError(UsageError):
    """Everything that is wrong in the configuration of a stack, at once."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: Sequence[Problem] = tuple(dict.fromkeys(problems))
        count = len(self.problems)
        total = f"{count} problem{'s' if count != 1 else ''}. Nothing was changed."
        super().__init__("\n".join([*map(str, self.problems), total]))


def nearest(word: str, choices: Iterable[str]) -> str:
    """`; did you mean X?` for the choice most like `word`, or nothing."""
    matches = get_close_matches(word, list(choices), n=1)
    return f"; did you mean {matches[0]}?" if matches else ""


def unknown(kind: str, word: str, choices: Iterable[str]) -> str:
    """The sentence for a name that is none of `choices`."""
    known = sorted(choices)
    return f"unknown {kind} {word!r}{nearest(word, known)} (there are: {', '.join(known)})"
