"""Exceptions that end a task with a message and an exit code.

A separate class exists only if it is caught, or if its exit code differs: 2 for errors that the user can correct
(`UsageError`), 1 for all others (`DevaiError`). Messages are never parsed: what a caller needs is an attribute.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Self

# Number of lines of a program's standard error that a message quotes.
TAIL_LINES = 5
# Maximum number of characters of a value that a message quotes: three lines of a terminal.
LONGEST_QUOTE = 240
_COLOR = re.compile(r"\x1b\[[\d;]*m")


class DevaiError(Exception):
    """Failure that is reported as one message.

    Attributes:
        message: what happened, and to what.
        hint: what to do next; empty if the message is sufficient.
        code: entry in docs/troubleshooting.md, such as DEVAI-K8S-003; empty for none.
        exit_code: exit code of the process.
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
    """The command line or the configuration is invalid or not supported."""

    exit_code = 2


class MissingToolError(DevaiError):
    """A required program is not installed or too old."""


@dataclass(frozen=True)
class KnownFailure:
    """Known failure of a program, usually with an entry in docs/troubleshooting.md.

    Attributes:
        pattern: regular expression for the program's standard error, with line breaks replaced by spaces.
        message: explanation; empty if the program's own message is sufficient.
        hint: see DevaiError.
        code: see DevaiError.
        replaces: whether the message replaces the program's output, instead of following it.
    """

    pattern: str
    message: str
    hint: str
    code: str = ""
    replaces: bool = False


class ToolError(DevaiError):
    """A program ran and failed.

    Attributes:
        command: program and subcommand, such as `kubectl apply`; empty if the message contains them.
        returncode: exit code; None if the program did not exit, or the message contains the code.
        stderr: the program's complete standard error.
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
        super().__init__(message or tail(stderr) or "no error output", hint=hint, code=code)
        self.command = command
        self.returncode = returncode
        self.stderr = stderr
        self._quote = ""

    @classmethod
    def of(
        cls, command: str, returncode: int, stderr: str, known: Iterable[KnownFailure] = (), *, lines: int = TAIL_LINES
    ) -> Self:
        """Return the error of a failed program: the end of its output, and the first known failure that matches."""
        text, quote = " ".join(stderr.split()), tail(stderr, lines)
        match = next((item for item in known if re.search(item.pattern, text, re.IGNORECASE)), KnownFailure("", "", ""))
        error = cls(
            match.message or quote, command=command, returncode=returncode, stderr=stderr, hint=match.hint,
            code=match.code,
        )  # fmt: skip
        if match.message and not match.replaces:
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
    """Error in the configuration.

    Attributes:
        location: `file:line:column`, or the flag or environment variable that sets the value.
        found: the quoted value.
        allowed: description of the allowed values.
        code: see DevaiError.
    """

    location: str
    found: str
    allowed: str
    code: str = ""

    def __str__(self) -> str:
        code = f" [{self.code}]" if self.code else ""
        return f"{one_line(self.location)}  {one_line(self.found)}\n  {one_line(self.allowed)}{code}"


class ConfigError(UsageError):
    """All errors in the configuration of a stack."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: Sequence[Problem] = tuple(dict.fromkeys(problems))
        count = len(self.problems)
        total = f"{count} error{'s' if count != 1 else ''}. Nothing was changed."
        super().__init__("\n".join([*map(str, self.problems), total]))


def tail(output: str, lines: int = TAIL_LINES) -> str:
    """Return the last lines of a program's output, without surrounding empty lines and colors."""
    return "\n".join(_COLOR.sub("", output).strip().splitlines()[-lines:])


def one_line(text: str) -> str:
    """Return a text for use in a message: control characters escaped, and shortened."""
    shown = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)
    return shown if len(shown) <= LONGEST_QUOTE else f"{shown[: LONGEST_QUOTE - 3]}..."


def nearest(word: str, choices: Iterable[str]) -> str:
    """Return `; did you mean X?` for the choice most similar to `word`; empty for none."""
    matches = get_close_matches(word, list(choices), n=1)
    return f"; did you mean {matches[0]}?" if matches else ""


def unknown(kind: str, word: str, choices: Iterable[str]) -> str:
    """Return the message for a name that is not among the choices."""
    known = sorted(choices)
    return f"unknown {kind} {word!r}{nearest(word, known)} (there are: {', '.join(known)})"
