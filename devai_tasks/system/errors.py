"""The exceptions that end a task with one message and an exit code.

A class exists where it is caught, or where the exit code differs: 2 for what the user can correct (`UsageError`), 1 for
everything else (`DevaiError`). Nothing takes a message apart: what a caller needs to know is an attribute.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

# Lines of a program's standard error that a message quotes.
TAIL_LINES = 5
# Characters of a value that a message quotes: three lines of a terminal.
LONGEST_QUOTE = 240


class DevaiError(Exception):
    """A failure, reported as one message.

    Attributes:
        message: what happened, to what.
        hint: what to do next; empty where the message says all.
        code: the entry of docs/troubleshooting.md, such as DEVAI-K8S-003; empty for an error without one.
        exit_code: of the process.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "", code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code

    def __str__(self) -> str:
        separator = "\n" if "\n" in self.message else "; "
        return f"{self.message}{separator}{self.hint}" if self.hint else self.message


class UsageError(DevaiError):
    """The command line or the configuration asks for something that is not possible."""

    exit_code = 2


class MissingToolError(DevaiError):
    """A program that the task needs is not installed, or too old."""


class ToolError(DevaiError):
    """A program ran and failed.

    Attributes:
        command: what ran, in words that tell it apart, such as `kubectl apply`; empty where the message says it.
        returncode: its exit code; None where it did not end, or the message says it.
        stderr: all of what it printed on its standard error.
    """

    def __init__(  # noqa: PLR0913 - by keyword
        self,
        message: str = "",
        *,
        command: str = "",
        returncode: int | None = None,
        stderr: str = "",
        hint: str = "",
        code: str = "",
    ) -> None:
        super().__init__(message or tail(stderr) or "its output is above", hint=hint, code=code)
        self.command = command
        self.returncode = returncode
        self.stderr = stderr

    def __str__(self) -> str:
        failed = f"{self.command} failed{'' if self.returncode is None else f' (exit code {self.returncode})'}: "
        return f"{failed if self.command else ''}{super().__str__()}"


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake in the configuration.

    Attributes:
        location: `file:line:column`, or the flag or variable that holds the value.
        found: the quoted value.
        allowed: what is allowed there.
        code: as of DevaiError.
    """

    location: str
    found: str
    allowed: str
    code: str = ""

    def __str__(self) -> str:
        code = f" [{self.code}]" if self.code else ""
        return f"{one_line(self.location)}  {one_line(self.found)}\n  {one_line(self.allowed)}{code}"


class ConfigError(UsageError):
    """All mistakes in the configuration of a stack."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: Sequence[Problem] = tuple(dict.fromkeys(problems))
        count = len(self.problems)
        total = f"{count} error{'s' if count != 1 else ''}. Nothing was changed."
        super().__init__("\n".join([*map(str, self.problems), total]))


def tail(output: str) -> str:
    """Return the last lines of a program's output, without empty lines around them."""
    return "\n".join(output.strip().splitlines()[-TAIL_LINES:])


def one_line(text: str) -> str:
    """Return a text as it can stand in a message, whatever a user has typed."""
    shown = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)
    return shown if len(shown) <= LONGEST_QUOTE else f"{shown[: LONGEST_QUOTE - 3]}..."


def nearest(word: str, choices: Iterable[str]) -> str:
    """Return `; did you mean X?` for the choice most like `word`, or nothing."""
    matches = get_close_matches(word, list(choices), n=1)
    return f"; did you mean {matches[0]}?" if matches else ""


def unknown(kind: str, word: str, choices: Iterable[str]) -> str:
    """Return the sentence for a name that is none of `choices`."""
    known = sorted(choices)
    return f"unknown {kind} {word!r}{nearest(word, known)} (there are: {', '.join(known)})"
