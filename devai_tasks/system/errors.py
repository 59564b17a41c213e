"""The exceptions that end a task with one message and an exit code.

A class exists where it is caught, or where the exit code differs: 2 for what the user can correct (`UsageError`), 1 for
everything else (`DevaiError`). Nothing takes a message apart: what a caller needs to know is an attribute.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Self

# Lines of a program's standard error that a message quotes.
TAIL_LINES = 5
# Characters of a value that a message quotes: three lines of a terminal.
LONGEST_QUOTE = 240
_COLOR = re.compile(r"\x1b\[[\d;]*m")


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


@dataclass(frozen=True)
class KnownFailure:
    """A way in which a program fails that docs/troubleshooting.md has an entry for.

    Attributes:
        pattern: a regular expression that finds it in the program's standard error, whatever its line breaks.
        message: what that means; empty where the program's own words say it.
        hint: as of DevaiError.
        code: as of DevaiError.
        replaces: whether the message stands in place of the program's words, and not after them.
    """

    pattern: str
    message: str
    hint: str
    code: str = ""
    replaces: bool = False


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
        super().__init__(message or tail(stderr) or "no reason is given", hint=hint, code=code)
        self.command = command
        self.returncode = returncode
        self.stderr = stderr
        self._quote = ""

    @classmethod
    def of(
        cls, command: str, returncode: int, stderr: str, known: Iterable[KnownFailure] = (), *, lines: int = TAIL_LINES
    ) -> Self:
        """Return the error of a program that failed: its last lines, and what is known of the first match."""
        words, quote = " ".join(stderr.split()), tail(stderr, lines)
        found = next((one for one in known if re.search(one.pattern, words, re.IGNORECASE)), KnownFailure("", "", ""))
        error = cls(
            found.message or quote, command=command, returncode=returncode, stderr=stderr, hint=found.hint,
            code=found.code,
        )  # fmt: skip
        if found.message and not found.replaces:
            error._quote = quote
        return error

    def __str__(self) -> str:
        if not self.command:
            return super().__str__()
        code = "" if self.returncode is None else f" (exit code {self.returncode})"
        text = "\n".join(part for part in (self._quote, super().__str__()) if part)
        return f"{self.command} failed{code}:{chr(10) if chr(10) in text else ' '}{text}"


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


def tail(output: str, lines: int = TAIL_LINES) -> str:
    """Return the last lines of a program's output, without empty lines around them and without colors."""
    return "\n".join(_COLOR.sub("", output).strip().splitlines()[-lines:])


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
