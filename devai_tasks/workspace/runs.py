"""Run of a task that changes a stack: holds the stack's lock, and adds a line to the history at its end."""

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
_LOCK_TIMEOUT = 0.2  # seconds


@dataclass(frozen=True)
class Run:
    """A run: task, user, process and start time."""

    task: str
    flags: Sequence[str]
    """Flags of the command line. Overrides without their values, which may be secrets."""
    who: str
    pid: int
    since: str

    @property
    def description(self) -> str:
        """Description of the run for messages."""
        return f"`inv {self.task}` ({self.who}, PID {self.pid}, since {self.since})"


def begin(task: str, flags: Sequence[str]) -> Run:
    """Return a run that starts now in this process."""
    return Run(task, list(flags), f"{_user()}@{socket.gethostname()}", os.getpid(), _now())


@contextmanager
def alone(project: Project, stack: Stack, run: Run) -> Iterator[None]:
    """Hold the stack's lock. Raises DevaiError if another run holds the lock.

    The operating system releases a lock when its process ends for any reason, so no stale lock remains. A note of the
    holder in the lock file remains after an interrupted run, and tells the next run about the interruption.
    """
    state.private_folder(project.state(stack))
    descriptor = files.open_own(_lock(project, stack), os.O_RDWR)
    with os.fdopen(descriptor, "r+", encoding="utf-8") as stream:
        if not _acquire(stream):
            raise DevaiError(
                f"{stack} is being changed by {_describe(_holder(stream))}; nothing was changed",
                hint="wait until that run ends, or stop it",
                code="DEVAI-STACK-001",
            )
        if interrupted := _holder(stream):
            console.warn(
                f"{interrupted.description} was interrupted, and its lock was released; its changes remain, and this "
                "run continues from there",
                "DEVAI-STACK-002",
            )
        _note(stream, json.dumps(asdict(run)))
        try:
            yield
        finally:
            _note(stream, "")


def other_run(project: Project, stack: Stack) -> str:
    """Return a description of another run that changes the stack now; empty for none. Does not wait."""
    try:
        stream = _lock(project, stack).open(encoding="utf-8")
    except FileNotFoundError:
        return ""
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(stream)
            return "" if holder and holder.pid == os.getpid() else _describe(holder)
    return ""


@contextmanager
def recorded(project: Project, stack: Stack, run: Run) -> Iterator[None]:
    """Add a line to `.devai/history.jsonl` when the run ends, with its result."""
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
    """Return the newest history entry of a stack; None without one."""
    file = project.root / ".devai" / HISTORY
    if not file.exists():
        return None
    lines = map(_read, reversed(file.read_text(encoding="utf-8").splitlines()))
    return next((line for line in lines if line.get("stack") == str(stack)), None)


def _read(line: str) -> dict[str, object]:
    """Return a history entry; empty if the line is truncated, for example by a full disk."""
    try:
        return dict(json.loads(line))
    except (ValueError, TypeError):
        return {}


def _append(file: Path, line: dict[str, object]) -> None:
    """Append a line with a single write, because runs of other stacks append to the same file.

    If writing fails, print a warning only: the run's own result must not change.
    """
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "r+b", buffering=0) as stream:
            size = os.fstat(descriptor).st_size
            begin = "\n" if size and os.pread(descriptor, 1, size - 1) != b"\n" else ""  # after a truncated line
            stream.write(f"{begin}{json.dumps(line)}\n".encode())
    except OSError as error:
        console.warn(f"{file}: {error.strerror}; this run was not recorded in the history")


def _lock(project: Project, stack: Stack) -> Path:
    return project.state(stack) / "lock"


def _acquire(stream: TextIO) -> bool:
    """Try to acquire the lock; return whether it was free. Retries briefly: `other_run` holds it for a moment."""
    end = time.monotonic() + _LOCK_TIMEOUT
    while True:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                return False
            time.sleep(_LOCK_TIMEOUT / 10)
        else:
            return True


def _describe(holder: Run | None) -> str:
    return holder.description if holder else "another run"


def _holder(stream: TextIO) -> Run | None:
    stream.seek(0)
    try:
        return Run(**json.loads(stream.read()))
    except (ValueError, TypeError):
        return None  # empty after a run that ended normally, or being written right now


def _note(stream: TextIO, text: str) -> None:
    stream.seek(0)
    stream.truncate()
    stream.write(text)
    stream.flush()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user ID without an account
        return str(os.getuid())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
