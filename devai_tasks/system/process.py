"""The one place that starts programs.

A command is a list of arguments, never a line for a shell. Programs that run to their end go through sh. A program that
runs beside this process (a port forward, a watch) goes through subprocess: sh forks, which is not safe while threads of
this process run (https://docs.python.org/3/library/os.html#os.fork), and others are started meanwhile.

Secrets go to a program by its standard input or its environment, never by an argument, for errors quote those.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from devai_tasks.system import console
from devai_tasks.system.errors import TAIL_LINES, KnownFailure, MissingToolError, ToolError

# To sh, every exit code and every signal is a result: the caller decides which is a failure.
_ANY_CODE = tuple(range(-64, 256))
# How often it is looked whether a program has written more to a file.
_POLL_SECONDS = 0.05
# For a standard stream of `beside`: a new pipe.
PIPE = subprocess.PIPE


class TimedOutError(ToolError):
    """A program was killed, for it did not end in time."""


def which(name: str) -> str | None:
    """Return the path of a program: on PATH, or beside the interpreter, where extras of this package are installed."""
    return shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))


def require(name: str, install: str, *, code: str = "") -> str:
    """Return the path of a program. Raises MissingToolError, with `install` as the hint, where it is missing."""
    path = which(name)
    if not path:
        raise MissingToolError(f"{name} is not installed", hint=install, code=code)
    return path


@dataclass(frozen=True)
class Result:
    """What a program did, with its output as bytes."""

    argv: tuple[str, ...]
    returncode: int
    output: bytes = field(repr=False)
    errors: bytes = field(default=b"", repr=False)

    @property
    def stdout(self) -> str:
        """Its standard output as text."""
        return self.output.decode(errors="replace")

    @property
    def stderr(self) -> str:
        """Its standard error as text."""
        return self.errors.decode(errors="replace")

    def check(  # noqa: PLR0913 - by keyword
        self,
        command: str = "",
        *,
        accepted: Sequence[int] = (0,),
        known: Iterable[KnownFailure] = (),
        lines: int = TAIL_LINES,
        hint: str = "",
        secret: bool = False,
    ) -> Result:
        """Return the result itself.

        Args:
            command: what an error calls the program (default: its name).
            accepted: exit codes that are no failure.
            known: failures that have an explanation.
            lines: how many lines of standard error an error quotes, or of standard output where that is empty.
            hint: of a failure that is none of the known.
            secret: whether standard output is never quoted.

        Raises:
            ToolError: the exit code is another one.
        """
        if self.returncode not in accepted:
            words = self.stderr.strip() or ("" if secret else self.stdout)
            known = [*known, KnownFailure("", "", hint)]
            raise ToolError.of(command or self.argv[0], self.returncode, words, known, lines=lines)
        return self


@dataclass(frozen=True)
class Options:
    """How a program is started.

    Attributes:
        env: its whole environment (default: that of this process).
        cwd: the directory it runs in.
        umask: what its files are closed to.
        own_session: whether Ctrl-C at the terminal does not reach it by itself.
    """

    env: Mapping[str, str] | None = None
    cwd: Path | None = None
    umask: int | None = None
    own_session: bool = False

    def for_sh(self) -> dict[str, Any]:
        """Return them as sh takes them."""
        chosen: dict[str, Any] = {"_new_session": self.own_session}
        if self.env is not None:
            chosen["_env"] = dict(self.env)
        if self.cwd:
            chosen["_cwd"] = str(self.cwd)
        if self.umask is not None:
            chosen["_preexec_fn"] = lambda: os.umask(self.umask or 0)
        return chosen


_PLAIN = Options()


def run(
    argv: Sequence[str],
    *,
    stdin: str | bytes | IO[bytes] = b"",
    stdout: IO[bytes] | None = None,
    timeout: float | None = None,
    options: Options = _PLAIN,
) -> Result:
    """Run a program to its end, without a terminal.

    Args:
        argv: the program, as a path or a name on PATH, and its arguments.
        stdin: what it reads: a text, bytes or an open file.
        stdout: an open file that gets its output (default: the result holds it).
        timeout: seconds after which it is killed.
        options: its environment, directory and umask.

    Raises:
        MissingToolError: there is no such program.
        TimedOutError: it ran into the timeout.
        ToolError: it can't be started.
    """
    import sh

    redirected = {"_out": stdout} if stdout else {}
    with _deferred_signals() as arrived:
        running = _started(argv, options, _in=stdin or b"", _timeout=timeout, **redirected)
    try:
        _deliver(arrived)
        running.wait()
    except sh.TimeoutException as error:
        raise TimedOutError(f"no answer in {timeout:g} s", command=shlex.join(argv)) from error
    except KeyboardInterrupt as interrupt:
        # Ctrl-C at a terminal reaches the program by itself; SIGTERM, which tasks treat as an interrupt, does not.
        if signal.SIGTERM in interrupt.args:
            with suppress(OSError):
                running.signal(signal.SIGTERM)
        raise
    return Result(tuple(argv), running.exit_code, b"" if stdout else running.stdout, running.stderr)


def run_in_thread(argv: Sequence[str], *, timeout: float, options: Options = _PLAIN) -> Result:
    """Run a program to its end as `run` does, with empty input, where other threads run programs at the same time.

    Raises the same errors.
    """
    with beside(argv, stderr=PIPE, options=options) as running:
        try:
            output, errors = running.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as error:
            running.kill()
            raise TimedOutError(f"no answer in {timeout:g} s", command=shlex.join(argv)) from error
    return Result(tuple(argv), running.returncode, output.encode(), errors.encode())


def foreground(argv: Sequence[str]) -> int:
    """Run a program on the caller's terminal; returns its exit code. Raises MissingToolError where it is missing."""
    import sh

    try:
        _command(argv)(*argv[1:], _fg=True)
    except sh.ErrorReturnCode as error:
        return int(error.exit_code)
    return 0


class Stream:
    """A program that runs to its end, line by line as it prints; `result` is complete when all lines are read."""

    def __init__(
        self, argv: Sequence[str], *, merged: bool = False, outlives: bool = False, options: Options = _PLAIN
    ) -> None:
        """Start the program.

        Args:
            argv: the program and its arguments.
            merged: whether its standard error is streamed as well, in place of being kept for the result.
            outlives: whether it goes on when this process is killed. Its output goes through a file then, for a
                program that writes to a pipe without a reader is ended by SIGPIPE.
            options: its environment, directory and umask.

        Raises:
            MissingToolError: there is no such program.
            ToolError: it can't be started.
        """
        self._argv = tuple(argv)
        decoded = {"_encoding": "utf-8", "_decode_errors": "replace"}
        with ExitStack() as files:
            file = files.enter_context(tempfile.TemporaryFile()) if outlives else None
            redirected = {"_out": file} if file else {}
            with _deferred_signals() as self._arrived:
                self._running = _started(argv, options, _in=b"", _err_to_out=merged, **decoded, **redirected)
            self._files = files.pop_all()
        self._lines: Iterator[str] = _Tail(file.fileno(), self._running.is_alive) if file else self._running

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        _deliver(self._arrived)
        return next(self._lines).rstrip("\n")

    def result(self) -> Result:
        """Wait for its end. The output is what was streamed, so it is not kept."""
        self._running.wait()
        self._files.close()
        return Result(self._argv, self._running.exit_code, b"", self._running.stderr)

    def show(self, show: Callable[[Iterable[str]], None], *, asked_to_stop: str, then: str = "") -> Result:
        """Hand all lines to `show`; the first Ctrl-C goes to the program, which then has the time that it needs.

        `asked_to_stop` is printed then. Raises KeyboardInterrupt, with the note `then`, when the program has ended.
        """
        interrupted: KeyboardInterrupt | None = None
        while True:
            try:
                show(self)
                result = self.result()
            except KeyboardInterrupt as interrupt:
                if not interrupted:
                    interrupted = interrupt
                    interrupted.add_note(then)
                    self.signal(signal.SIGINT)
                    console.warn(asked_to_stop)
            else:
                if interrupted:
                    raise interrupted
                return result

    def signal(self, number: int) -> None:
        """Send it a signal; nothing where it has ended."""
        try:
            self._running.signal(number)
        except OSError:
            return


class _Tail:
    """The lines of a file, until the program that writes it has ended. An exception in between loses none of them."""

    def __init__(self, file: int, alive: Callable[[], bool]) -> None:
        self._file, self._alive = file, alive
        self._read, self._rest = 0, b""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        while b"\n" not in self._rest:
            alive = self._alive()  # asked first: what it writes before its end is read
            # Not `read`: the program and this process share the file's position.
            if more := os.pread(self._file, 65536, self._read):
                self._read, self._rest = self._read + len(more), self._rest + more
            elif alive:
                time.sleep(_POLL_SECONDS)
            elif self._rest:
                break
            else:
                raise StopIteration
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode(errors="replace")


@contextmanager
def beside(
    argv: Sequence[str],
    *,
    stdin: int | None = subprocess.DEVNULL,
    stdout: int = subprocess.PIPE,
    stderr: int | None = subprocess.STDOUT,
    options: Options = _PLAIN,
) -> Iterator[subprocess.Popen[str]]:
    """A program that runs beside this process, and is terminated when the block ends.

    Standard streams are file descriptors, PIPE, or the other constants of subprocess. Raises MissingToolError where it
    is missing, ToolError where it can't be started.
    """
    try:
        with _deferred_signals() as arrived:
            process = subprocess.Popen(  # noqa: S603 - the commands of the adapters
                list(argv), stdin=stdin, stdout=stdout, stderr=stderr, text=True, errors="replace",
                env=options.env, cwd=options.cwd, start_new_session=options.own_session,
            )  # fmt: skip
    except FileNotFoundError as error:
        raise MissingToolError(f"{argv[0]} is not installed") from error
    except OSError as error:
        raise ToolError(str(error), command=argv[0]) from error
    with process:
        try:
            _deliver(arrived)
            yield process
        finally:
            process.terminate()


@contextmanager
def _deferred_signals() -> Iterator[list[int]]:
    """Collect the signals that arrive while a program is started, for `_deliver` when it can be told of them.

    Else an exception in between would leave the program running, and nobody would know its process. Where it does not
    start, they are delivered at once. Only the main thread gets signals.
    """
    arrived: list[int] = []
    main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM) if main}
    # Others are ignored, or end this process; a program inherits that.
    handlers = {number: handler for number, handler in before.items() if callable(handler)}
    for number in handlers:
        signal.signal(number, lambda number, _: arrived.append(number))
    started = False
    try:
        yield arrived
        started = True
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if not started:
            _deliver(arrived)


def _deliver(signals: list[int]) -> None:
    """Handle signals that were deferred, each once."""
    while signals:
        signal.raise_signal(signals.pop(0))


def _started(argv: Sequence[str], options: Options, **special: Any) -> Any:
    """Return a program that sh has started. Raises MissingToolError or ToolError where that is not possible."""
    import sh

    try:
        return _command(argv)(
            *argv[1:],
            _iter=True,  # returns before the program ends, so that a signal can be sent to it
            _ok_code=_ANY_CODE,
            _bg_exc=False,
            _tty_out=False,
            **special,
            **options.for_sh(),
        )
    except sh.ForkException as error:
        # Its text is the traceback of the child process, which ends with the reason.
        raise ToolError(str(error).strip().splitlines()[-1].strip(), command=argv[0]) from error


def _command(argv: Sequence[str]) -> Any:
    """The program as sh has it."""
    import sh

    try:
        return sh.Command(argv[0])
    except sh.CommandNotFound as error:
        raise MissingToolError(f"{argv[0]} is not installed") from error
