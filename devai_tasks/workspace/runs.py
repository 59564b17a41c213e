"""One run of a task that changes a stack: nothing else at the same time, and a line of history in the end."""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.system import console, files, git
from devai_tasks.system.errors import DevaiError, UsageError
from devai_tasks.workspace import state

HISTORY = "history.jsonl"
DONE, REFUSED, FAILED, INTERRUPTED = "done", "refused", "failed", "interrupted"
_MOMENT = 0.2


@dataclass(frozen=True)
class Run:
    """Who does what, since when."""

    task: str
    flags: Sequence[str]
    """As given, but overrides by their keys only: a value may be a secret."""
    who: str
    pid: int
    since: str

    @property
    def words(self) -> str:
        """The same for people."""
        return f"`inv {self.task}` of {self.who} (pid {self.pid}, since {self.since})"


def begin(task: str, flags: Sequence[str]) -> Run:
    """A run that begins now."""
    return Run(task, list(flags), f"{_user()}@{socket.gethostname()}", os.getpid(), _now())


@contextmanager
def alone(project: Project, stack: Stack, run: Run) -> Iterator[None]:
    """Hold the stack's lock. Raises DevaiError where another run holds it.

    The system gives a lock back when its holder ends, however it ends: none can be left over. What is left over is the
    note of who had it, which tells that a run broke off.
    """
    state.private_folder(project.state(stack))
    descriptor = files.open_own(_lock(project, stack), os.O_RDWR)
    with os.fdopen(descriptor, "r+", encoding="utf-8") as stream:
        if not _taken(stream):
            raise DevaiError(
                f"{stack} is being changed by {_words(_holder(stream))}; nothing was changed",
                hint="wait until that ends, or end it",
                code="DEVAI-STACK-001",
            )
        if broken := _holder(stream):
            console.warn(
                f"{broken.words} broke off before it was done, and its lock went with it. What it has done stays; "
                "what is left is done now",
                "DEVAI-STACK-002",
            )
        _note(stream, json.dumps(asdict(run)))
        try:
            yield
        finally:
            _note(stream, "")


def other(project: Project, stack: Stack) -> str:
    """Which run other than this one changes a stack now, in words; empty for none. Waits for nothing."""
    try:
        stream = _lock(project, stack).open(encoding="utf-8")
    except FileNotFoundError:
        return ""
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(stream)
            return "" if holder and holder.pid == os.getpid() else _words(holder)
    return ""


@contextmanager
def recorded(project: Project, stack: Stack, run: Run) -> Iterator[None]:
    """Add a line to `.devai/history.jsonl` when the run ends, whatever its end is."""
    start, revision = time.monotonic(), git.revision(project.root)
    result = FAILED
    try:
        yield
        result = DONE
    except UsageError:
        result = REFUSED
        raise
    except KeyboardInterrupt:
        result = INTERRUPTED
        raise
    finally:
        _append(
            state.private_folder(project.root / ".devai") / HISTORY,
            {
                "time": run.since,
                "who": run.who,
                "task": run.task,
                "flags": run.flags,
                "stack": str(stack),
                "commit": str(revision or ""),
                "result": result,
                "seconds": round(time.monotonic() - start),
            },
        )


def last(project: Project, stack: Stack) -> dict[str, object] | None:
    """The newest line of a stack's history."""
    file = project.root / ".devai" / HISTORY
    if not file.exists():
        return None
    lines = map(_read, reversed(file.read_text(encoding="utf-8").splitlines()))
    return next((line for line in lines if line.get("stack") == str(stack)), None)


def _read(line: str) -> dict[str, object]:
    """A line of history; nothing of one that a full disk has cut off."""
    try:
        return dict(json.loads(line))
    except (ValueError, TypeError):
        return {}


def _append(file: Path, line: dict[str, object]) -> None:
    """Add a line in one piece: runs of other stacks write here, too. Where it can't be, how the run ended counts."""
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "r+b", buffering=0) as stream:
            size = os.fstat(descriptor).st_size
            begin = "\n" if size and os.pread(descriptor, 1, size - 1) != b"\n" else ""  # after half a line
            stream.write(f"{begin}{json.dumps(line)}\n".encode())
    except OSError as error:
        console.warn(f"{file}: {error.strerror}; this run is not in it")


def _lock(project: Project, stack: Stack) -> Path:
    return project.state(stack) / "lock"


def _taken(stream: TextIO) -> bool:
    """Take the lock, unless a run has it. One that only asks for `other` has it, too, but for a moment."""
    end = time.monotonic() + _MOMENT
    while True:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                return False
            time.sleep(_MOMENT / 10)
        else:
            return True


def _words(holder: Run | None) -> str:
    return holder.words if holder else "another run"


def _holder(stream: TextIO) -> Run | None:
    stream.seek(0)
    try:
        return Run(**json.loads(stream.read()))
    except (ValueError, TypeError):
        return None  # empty after a run that ended well, or written at this very moment


def _note(stream: TextIO, text: str) -> None:
    stream.seek(0)
    stream.truncate()
    stream.write(text)
    stream.flush()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an id without an account
        return str(os.getuid())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
