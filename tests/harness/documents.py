"""The commands in the project's documents: the contents of `console` blocks, and the marks on their fences.

Tests run a block as it is written, unless its fence names a prerequisite, as "console engine" does. Lines that begin
with `$ ` are commands; the lines after a command are its expected output (`…` for a part that differs or is left out).
In a block without `$ ` every line is a command.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Prerequisites of blocks that not every machine has. Other tests cover what these blocks do; here they are only parsed.
NEEDS = {"engine", "cluster", "cloud", "setup"}
# A block whose last command exits with code 2.
REFUSED = "refused"


@dataclass(frozen=True)
class Command:
    """A command that a user types."""

    line: str
    output: tuple[str, ...]
    """The documented output; empty if the document shows none."""

    @property
    def programs(self) -> Iterator[list[str]]:
        """The arguments of each program in the line, without variable assignments and `sudo`."""
        lexer = shlex.shlex(self.line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        arguments: list[str] = []
        for argument in [*lexer, ";"]:
            if argument in ("&&", "||", "|", ";"):
                while arguments and (re.match(r"\w+=", arguments[0]) or arguments[0] == "sudo"):
                    arguments.pop(0)
                if arguments:
                    yield arguments
                arguments = []
            else:
                arguments.append(argument)


@dataclass(frozen=True)
class Block:
    """A fenced block of commands."""

    location: str
    marks: frozenset[str]
    commands: tuple[Command, ...]

    @property
    def is_runnable(self) -> bool:
        """Whether the block has no prerequisite that a machine may be missing."""
        return not self.marks & NEEDS


def documents() -> list[str]:
    """Return the paths of README, CONTRIBUTING and all files in docs/, relative to the project."""
    files = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [file.relative_to(ROOT).as_posix() for file in files]


def blocks(document: str) -> list[Block]:
    """Return the blocks of commands in a document."""
    text = (ROOT / document).read_text(encoding="utf-8")
    result = []
    for match in re.finditer(
        r"^```(console|bash|sh|shell)\b([^\n]*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL
    ):
        location = f"{document}:{text.count(chr(10), 0, match.start()) + 1}"
        result.append(Block(location, frozenset(match[2].split()), tuple(_commands(match[3]))))
    return result


def _commands(text: str) -> Iterator[Command]:
    lines = text.replace("\\\n", " ").splitlines()
    if not any(line.startswith("$ ") for line in lines):
        yield from (Command(line, ()) for line in lines if line.strip() and not line.startswith("#"))
        return
    starts = [index for index, line in enumerate(lines) if line.startswith("$ ")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        yield Command(lines[start][2:], tuple(lines[start + 1 : end]))


def first_mismatch(expected: tuple[str, ...], printed: str) -> str | None:
    """Return the first documented line that is missing in the output at its position; None if all lines match.

    A line with only `…` stands for any number of lines. Output after the last documented line is a mismatch, returned
    as "nothing more".
    """
    if not expected:
        return None
    text = "".join(f"{line.rstrip()}\n" for line in printed.splitlines())
    pattern = ""
    for line in (line.rstrip() for line in expected):
        pattern += r"(?:.*\n)*?" if line == "…" else ".*".join(map(re.escape, line.split("…"))) + r"\n"
        if not re.match(pattern, text):
            return line
    return None if re.fullmatch(pattern, text) else "nothing more"
