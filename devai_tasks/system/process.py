"""Runner of all external programs.

A command is a list of arguments, never a shell command line. Programs that run to completion use sh. Programs that run
in the background (a port forward, a watch) use subprocess: sh forks, which is not safe while threads of this process
run (https://docs.python.org/3/library/os.html#os.fork), and other programs are started meanwhile.

Secrets are passed by standard input or environment, never by arguments, because error messages quote arguments.
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

# sh must not raise for any exit code or signal: the caller decides which is a failure.
_ANY_CODE = tuple(range(-64, 256))
# Interval of checks whether a program has written more to a file.
_POLL_SECONDS = 0.05
# Standard stream of `beside` that is a new pipe.
PIPE = subprocess.PIPE


class TimedOutError(ToolError):
    """A program was killed because it exceeded its timeout."""


def which(name: str) -> str | None:
    """Return the path of a program on PATH or beside the interpreter, where extras of this package are installed."""
    return shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))


def require(name: str, install: str, *, code: str = "") -> str:
    """Return the path of a program. Raises MissingToolError with the hint `install` if the program is missing."""
    path = which(name)
    if not path:
        raise MissingToolError(f"{name} is not installed", hint=install, code=code)
    return path


@dataclass(frozen=True)
class Result:
    """Exit code and output of a program."""

    argv: tuple[str, ...]
    returncode: int
    output: bytes = field(repr=False)
    errors: bytes = field(default=b"", repr=False)

    @property
    def stdout(self) -> str:
        """Standard output as text."""
        return self.output.decode(errors="replace")

    @property
    def stderr(self) -> str:
        """Standard error as text."""
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
        """Raise ToolError unless the exit code is accepted; return the result itself.

        Args:
            command: name of the command in an error message (default: the program's name).
            accepted: exit codes that are not a failure.
            known: known failures with an explanation.
            lines: number of lines that an error quotes, of standard error, or if that is empty of standard output.
            hint: hint for a failure that is not known.
            secret: whether standard output is secret and never quoted.

        Raises:
            ToolError: the exit code is not accepted.
        """
        if self.returncode not in accepted:
            output = self.stderr.strip() or ("" if secret else self.stdout)
            known = [*known, KnownFailure("", "", hint)]
            raise ToolError.of(command or self.argv[0], self.returncode, output, known, lines=lines)
        return self


@dataclass(frozen=True)
class Options:
    """Options for starting a program.

    Attributes:
        env: complete environment (default: the environment of this process).
        cwd: working directory.
        umask: umask.
        own_session: whether the program runs in a new session, so that Ctrl-C at the terminal does not reach it.
    """

    env: Mapping[str, str] | None = None
    cwd: Path | None = None
    umask: int | None = None
    own_session: bool = False

    def for_sh(self) -> dict[str, Any]:
        """Return the options as keyword arguments of sh."""
        kwargs: dict[str, Any] = {"_new_session": self.own_session}
        if self.env is not None:
            kwargs["_env"] = dict(self.env)
        if self.cwd:
            kwargs["_cwd"] = str(self.cwd)
        if self.umask is not None:
            kwargs["_preexec_fn"] = lambda: os.umask(self.umask or 0)
        return kwargs


_DEFAULTS = Options()


def run(
    argv: Sequence[str],
    *,
    stdin: str | bytes | IO[bytes] = b"",
    stdout: IO[bytes] | None = None,
    timeout: float | None = None,
    options: Options = _DEFAULTS,
) -> Result:
    """Run a program to completion, without a terminal.

    Args:
        argv: path of the program, or name on PATH, and its arguments.
        stdin: standard input: text, bytes or an open file.
        stdout: open file for standard output (default: kept in the result).
        timeout: seconds after which the program is killed (default: never).
        options: environment, directory, umask and session.

    Raises:
        MissingToolError: the program is missing.
        TimedOutError: the program exceeded the timeout.
        ToolError: the program can't be started.
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
        # The terminal sends Ctrl-C to the program, too. SIGTERM, which tasks treat as an interrupt, must be forwarded.
        if signal.SIGTERM in interrupt.args:
            with suppress(OSError):
                running.signal(signal.SIGTERM)
        raise
    return Result(tuple(argv), running.exit_code, b"" if stdout else running.stdout, running.stderr)


def run_in_thread(argv: Sequence[str], *, timeout: float, options: Options = _DEFAULTS) -> Result:
    """Run a program to completion with empty input, safe to call while other threads start programs.

    Raises the same errors as `run`.
    """
    with beside(argv, stderr=PIPE, options=options) as running:
        try:
            output, errors = running.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as error:
            running.kill()
            raise TimedOutError(f"no answer in {timeout:g} s", command=shlex.join(argv)) from error
    return Result(tuple(argv), running.returncode, output.encode(), errors.encode())


def foreground(argv: Sequence[str]) -> int:
    """Run a program on the user's terminal; return its exit code. Raises MissingToolError if the program is missing."""
    import sh

    try:
        _command(argv)(*argv[1:], _fg=True)
    except sh.ErrorReturnCode as error:
        return int(error.exit_code)
    return 0


class Stream:
    """A program whose output is read line by line while it runs. Call `result` after all lines are read."""

    def __init__(
        self, argv: Sequence[str], *, merged: bool = False, outlives: bool = False, options: Options = _DEFAULTS
    ) -> None:
        """Start the program.

        Args:
            argv: program and arguments.
            merged: whether standard error is streamed, too, instead of being kept for the result.
            outlives: whether the program continues when this process is killed. Its output is then written to a file,
                because SIGPIPE terminates a program that writes to a pipe without a reader.
            options: environment, directory, umask and session.

        Raises:
            MissingToolError: the program is missing.
            ToolError: the program can't be started.
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
        """Wait for the program to exit. The result has no output, because the output was streamed."""
        self._running.wait()
        self._files.close()
        return Result(self._argv, self._running.exit_code, b"", self._running.stderr)

    def show(self, show: Callable[[Iterable[str]], None], *, asked_to_stop: str, then: str = "") -> Result:
        """Pass all lines to `show`. Forward the first Ctrl-C to the program, and wait until the program exits.

        Args:
            show: function that prints the lines.
            asked_to_stop: warning to print on the first Ctrl-C.
            then: note that is added to the KeyboardInterrupt.

        Raises:
            KeyboardInterrupt: the program has exited after Ctrl-C.
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
        """Send a signal to the program, unless it has exited."""
        try:
            self._running.signal(number)
        except OSError:
            return


class _Tail:
    """Iterator over the lines of a file until its writer exits. An exception during iteration loses no lines."""

    def __init__(self, file: int, alive: Callable[[], bool]) -> None:
        self._file, self._alive = file, alive
        self._read, self._rest = 0, b""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        while b"\n" not in self._rest:
            alive = self._alive()  # checked before reading, so that the last output of the program is not missed
            # Not `read`, because the program and this process share the file offset.
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
    options: Options = _DEFAULTS,
) -> Iterator[subprocess.Popen[str]]:
    """Run a program in the background, and terminate it at the end of the block.

    Args:
        argv: program and arguments.
        stdin: file descriptor, PIPE or another constant of subprocess.
        stdout: likewise.
        stderr: likewise.
        options: environment, directory and session.

    Raises:
        MissingToolError: the program is missing.
        ToolError: the program can't be started.
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
    """Collect the signals that arrive while a program is started, for `_deliver` after the start.

    Otherwise an exception during the start would leave the program running without a reference to its process. If the
    program does not start, the signals are delivered at once. Only the main thread receives signals.
    """
    arrived: list[int] = []
    main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM) if main}
    # Other dispositions (ignore, default) have no Python handler, and the program inherits them.
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
    """Start a program with sh and return it. Raises MissingToolError or ToolError if it can't be started."""
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
        # The exception's text is the traceback of the child process; its last line is the reason.
        raise ToolError(str(error).strip().splitlines()[-1].strip(), command=argv[0]) from error


def _command(argv: Sequence[str]) -> Any:
    """Return the program as a command of sh."""
    import sh

    try:
        return sh.Command(argv[0])
    except sh.CommandNotFound as error:
        raise MissingToolError(f"{argv[0]} is not installed") from error
