"""The commands in the project's documents: what stands in a `console` block, and what it says beside.

A block is run as it stands, unless its fence says what it needs, as "console engine" does. Lines that begin with `$ `
are commands, and what follows is what they print (`…` for what differs or is left out); without such a line every
line is a command.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
# What a block may need that not every machine has: the tests of that part try it, and here it is only parsed.
NEEDS = {"engine", "cluster", "cloud", "setup"}
# A block that ends in a refusal, with exit code 2.
REFUSED = "refused"


@dataclass(frozen=True)
class Command:
    """One line that a person types."""

    line: str
    output: tuple[str, ...]
    """What it prints, as the document says; nothing where the document says nothing."""

    @property
    def programs(self) -> Iterator[list[str]]:
        """The words of each program in it, without variables and `sudo` before them."""
        lexer = shlex.shlex(self.line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if word in ("&&", "||", "|", ";"):
                while words and (re.match(r"\w+=", words[0]) or words[0] == "sudo"):
                    words.pop(0)
                if words:
                    yield words
                words = []
            else:
                words.append(word)


@dataclass(frozen=True)
class Block:
    """A fenced block of commands."""

    place: str
    marks: frozenset[str]
    commands: tuple[Command, ...]

    @property
    def runs(self) -> bool:
        """Whether it needs nothing that some machine may lack."""
        return not self.marks & NEEDS


def documents() -> list[str]:
    """README and everything in docs/, relative to the project."""
    files = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [file.relative_to(ROOT).as_posix() for file in files]


def blocks(document: str) -> list[Block]:
    """The blocks of commands in a document."""
    text = (ROOT / document).read_text(encoding="utf-8")
    found = []
    for match in re.finditer(
        r"^```(console|bash|sh|shell)\b([^\n]*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL
    ):
        place = f"{document}:{text.count(chr(10), 0, match.start()) + 1}"
        found.append(Block(place, frozenset(match[2].split()), tuple(_commands(match[3]))))
    return found


def _commands(text: str) -> Iterator[Command]:
    lines = text.replace("\\\n", " ").splitlines()
    if not any(line.startswith("$ ") for line in lines):
        yield from (Command(line, ()) for line in lines if line.strip() and not line.startswith("#"))
        return
    starts = [index for index, line in enumerate(lines) if line.startswith("$ ")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        yield Command(lines[start][2:], tuple(lines[start + 1 : end]))


def first_mismatch(expected: tuple[str, ...], printed: str) -> str | None:
    """The first line that a document promises and a command does not print there; None where all is as promised.

    A line that is `…` alone stands for any number of lines; nothing else may be left out.
    """
    if not expected:
        return None
    text = "".join(f"{line.rstrip()}\n" for line in printed.splitlines())
    pattern = ""
    for promise in (line.rstrip() for line in expected):
        pattern += r"(?:.*\n)*?" if promise == "…" else ".*".join(map(re.escape, promise.split("…"))) + r"\n"
        if not re.match(pattern, text):
            return promise
    return None if re.fullmatch(pattern, text) else "nothing more"
