"""Terminal output: progress and questions on stderr, results on stdout.

Rich handles NO_COLOR, pipes and dumb terminals. It is imported on first use, because `inv --list` does not need it.
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


# What a terminal would interpret instead of display: control sequences and control strings of ECMA-48, other control
# characters except tab and line feed, and characters that change the text direction.
_CONTROL = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)


def plain(text: str) -> str:
    """Return a text without terminal control sequences, because output of containers, servers and files is untrusted.

    Applied to everything that this module prints.
    """
    return _CONTROL.sub("", text)


@cache
def _stderr() -> Console:
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


@cache
def _stdout() -> Console:
    from rich.console import Console

    # In a pipe, a table is as wide as its content.
    return Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 10_000)


def say(text: str) -> None:
    """Print a line about progress."""
    _stderr().print(plain(text), markup=False)


def head(text: str) -> None:
    """Print the title of the following output."""
    _stderr().print(plain(text), markup=False, style="bold")


def warn(text: str, code: str = "") -> None:
    """Print a warning, followed by its error code if it has one."""
    _coded(text, code, style="yellow")


def fail(text: str, code: str = "") -> None:
    """Print the error that ended the run, followed by its error code if it has one."""
    _coded(text, code, style="red")


def _coded(text: str, code: str, *, style: str) -> None:
    """Print a message with its error code at the end: ` [DEVAI-K8S-003]`, dim on a terminal."""
    from rich.text import Text

    _stderr().print(Text.assemble((plain(text), style), (f" [{code}]" if code else "", "dim")))


def show(text: str) -> None:
    """Print a result without wrapping, so that an address stays clickable."""
    _write(plain(text))


def pass_on(text: str) -> None:
    """Print the output of the user's own command: unchanged, except for control sequences on a terminal."""
    _write(plain(text) if sys.stdout.isatty() else text)


def _write(text: str) -> None:
    sys.stdout.write(text if not text or text.endswith("\n") else f"{text}\n")


def show_json(value: Any) -> None:
    """Print a result as JSON."""
    show(json.dumps(value, indent=2))


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a result as a table."""
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*(Text(plain(cell)) for cell in row))
    _stdout().print(grid)


# Symbol before each line of a list of checks: Unicode, ASCII, color.
_MARKS = {
    "ok": ("✓", "+", "green"),
    "advice": ("!", "!", "yellow"),
    "failed": ("✗", "x", "red"),
    "unneeded": ("-", "-", "dim"),
}


def mark(state: str, text: str) -> None:
    """Print a line of a list of checks; `state` is `ok`, `advice`, `failed` or `unneeded`."""
    from rich.text import Text

    sign, letter, style = _MARKS[state]
    line = Text(
        f"{letter if _stdout().options.ascii_only else sign} {plain(text)}", style="dim" if style == "dim" else ""
    )
    line.stylize(style, 0, 1)
    _stdout().print(line)


def size(count: int) -> str:
    """Return a readable number of bytes, such as 512 bytes, 9.8 kB, 98 MB, 1.2 GB."""
    if count == 1:
        return "1 byte"
    units = ("bytes", "kB", "MB", "GB", "TB")
    exponent = min((len(str(count)) - 1) // 3, len(units) - 1)
    number = count / 1000**exponent
    decimals = int(exponent > 0 and len(str(int(number))) == 1)
    return f"{number:,.{decimals}f} {units[exponent]}"


@contextmanager
def waiting(title: str) -> Iterator[None]:
    """Show a spinner and the elapsed time on a terminal during an operation that prints little or nothing.

    Rich displays one spinner at a time; other output to the terminal and questions would be overwritten.
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
    """Print the begin and the duration of a step; a `silent` step shows the spinner of `waiting`, too."""
    say(f"{title} ...")
    start = time.monotonic()
    with waiting(title) if silent else nullcontext():
        yield
    say(f"{title}: done in {time.monotonic() - start:.0f} s")


def follow(title: str, lines: Iterable[str]) -> None:
    """Print the output of a long-running program: on a terminal only the newest line, elsewhere all lines."""
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
    """Yield progress bars for transfers, in bytes."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=_stderr(), transient=True, disable=not _stderr().is_interactive) as bars:
        yield bars


def ask(question: str) -> str | None:
    """Ask a question and return the answer; None without a terminal."""
    if not sys.stdin.isatty():
        return None
    _stderr().print(plain(question), end=" ", markup=False)
    return sys.stdin.readline().strip()


def agrees(question: str) -> bool | None:
    """Ask a yes/no question and return whether the user agrees; None without a terminal."""
    answer = ask(f"{question} [y/N]")
    return None if answer is None else answer.lower() in ("y", "yes")
