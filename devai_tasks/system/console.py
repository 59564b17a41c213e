"""How the tasks speak to people: progress and questions on stderr, results on stdout.

Rich knows NO_COLOR, pipes and dumb terminals. It is imported on first use: `inv --list` says nothing through it.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


# What a terminal would obey in place of showing it: control sequences and control strings of ECMA-48, any other control
# character but tab and line feed, and what reverses the order of letters.
_OBEYED = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)


def plain(text: str) -> str:
    """A text without what a terminal would obey: containers, servers and files say what others want.

    Everything that is printed here goes through it.
    """
    return _OBEYED.sub("", text)


@cache
def _stderr() -> Console:
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


@cache
def _stdout() -> Console:
    from rich.console import Console

    # In a pipe a table is as wide as it has to be.
    return Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 10_000)


def say(text: str) -> None:
    """One line about what happens."""
    _stderr().print(plain(text), markup=False)


def head(text: str) -> None:
    """The title of what follows."""
    _stderr().print(plain(text), markup=False, style="bold")


def warn(text: str, code: str = "") -> None:
    """Print one line that deserves a look, and the code of an error that has one."""
    _coded(text, code, style="yellow")


def fail(text: str, code: str = "") -> None:
    """Print what ended the run, and the code of an error that has one."""
    _coded(text, code, style="red")


def _coded(text: str, code: str, *, style: str) -> None:
    """Print a message, with its code in brackets at the end: ` [DEVAI-K8S-003]`, dim on a terminal."""
    from rich.text import Text

    _stderr().print(Text.assemble((plain(text), style), (f" [{code}]" if code else "", "dim")))


def show(text: str) -> None:
    """A result: never wrapped, so that an address can be clicked on."""
    _write(plain(text))


def pass_on(text: str) -> None:
    """What a command of the user's own has printed: exactly, unless a terminal is to show it."""
    _write(plain(text) if sys.stdout.isatty() else text)


def _write(text: str) -> None:
    sys.stdout.write(text if not text or text.endswith("\n") else f"{text}\n")


def show_json(value: Any) -> None:
    """A result for programs."""
    show(json.dumps(value, indent=2))


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A result for people."""
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*(Text(plain(cell)) for cell in row))
    _stdout().print(grid)


# What stands before a line of a list of checks: sign, the same in ASCII, color.
_MARKS = {
    "ok": ("✓", "+", "green"),
    "advice": ("!", "!", "yellow"),
    "failed": ("✗", "x", "red"),
    "unneeded": ("-", "-", "dim"),
}


def mark(state: str, text: str) -> None:
    """A line of a list of checks: `ok`, `advice`, `failed` or `unneeded`."""
    from rich.text import Text

    sign, letter, style = _MARKS[state]
    line = Text(
        f"{letter if _stdout().options.ascii_only else sign} {plain(text)}", style="dim" if style == "dim" else ""
    )
    line.stylize(style, 0, 1)
    _stdout().print(line)


def size(count: int) -> str:
    """A number of bytes for people, such as 512 bytes, 9.8 kB, 98 MB, 1.2 GB."""
    if count == 1:
        return "1 byte"
    units = ("bytes", "kB", "MB", "GB", "TB")
    exponent = min((len(str(count)) - 1) // 3, len(units) - 1)
    number = count / 1000**exponent
    decimals = int(exponent > 0 and len(str(int(number))) == 1)
    return f"{number:,.{decimals}f} {units[exponent]}"


@contextmanager
def waiting(title: str) -> Iterator[None]:
    """Something that says little or nothing meanwhile: a terminal shows that it goes on, and for how long.

    Rich draws one such thing at a time, and whoever else draws or asks there would be drawn over.
    """
    if not _stderr().is_interactive:
        yield
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=_stderr(), transient=True, redirect_stdout=False) as display:
        display.add_task(plain(title), total=None)
        yield


@contextmanager
def step(title: str, *, silent: bool = False) -> Iterator[None]:
    """A part of the work, with the time that it took; a `silent` one is `waiting`, too."""
    say(f"{title} ...")
    start = time.monotonic()
    with waiting(title) if silent else nullcontext():
        yield
    say(f"{title}: done in {time.monotonic() - start:.0f} s")


def follow(title: str, lines: Iterable[str]) -> None:
    """What a long-running program prints: the newest line on a terminal, all of them elsewhere."""
    if not _stderr().is_terminal:
        for line in lines:
            say(line)
        return
    from rich.markup import escape

    title = plain(title)
    with _stderr().status(escape(title)) as status:
        for line in map(plain, lines):
            status.update(f"{escape(title)}  [dim]{escape(line[: _stderr().width - len(title) - 8])}")


@contextmanager
def progress() -> Iterator[Progress]:
    """Bars for transfers, in bytes."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=_stderr(), transient=True, disable=not _stderr().is_interactive) as bars:
        yield bars


def ask(question: str) -> str | None:
    """The answer to a question; None where nobody can answer."""
    if not sys.stdin.isatty():
        return None
    _stderr().print(plain(question), end=" ", markup=False)
    return sys.stdin.readline().strip()


def agrees(question: str) -> bool | None:
    """Whether the user says yes; None where nobody can answer."""
    answer = ask(f"{question} [y/N]")
    return None if answer is None else answer.lower() in ("y", "yes")
