"""Runner of external programs: input, output, exit codes and signals, with real programs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from devai_tasks.system import process
from devai_tasks.system.errors import KnownFailure, MissingToolError, ToolError

FAILS = ("sh", "-c", "echo out; echo 'first\nlast' >&2; exit 3")
MISSING = ("no-such-program",)


def test_output_error_output_and_exit_code_are_separate() -> None:
    result = process.run(FAILS)
    assert (result.stdout, result.stderr, result.returncode) == ("out\n", "first\nlast\n", 3)


def test_failed_check_names_command_exit_code_output_and_hint() -> None:
    with pytest.raises(ToolError) as failure:
        process.run(FAILS).check("sh -c", known=[KnownFailure("first last", "", "try again", "DEVAI-TEST-001")])
    assert str(failure.value) == "sh -c failed (exit code 3):\nfirst\nlast\ntry again"
    assert (failure.value.returncode, failure.value.hint, failure.value.code) == (3, "try again", "DEVAI-TEST-001")
    assert process.run(FAILS).check(accepted=(0, 3)).stdout == "out\n"


def test_failure_without_output_has_the_exit_code() -> None:
    with pytest.raises(ToolError, match=r"^false failed \(exit code 1\): no error output$"):
        process.run(["false"]).check()


def test_secret_output_is_in_no_error() -> None:
    with pytest.raises(ToolError) as failure:
        process.run(["sh", "-c", "echo hunter2; exit 3"]).check("sh -c", secret=True)
    assert (failure.value.returncode, failure.value.stderr) == (3, "")
    assert "hunter2" not in str(failure.value)


@pytest.mark.parametrize("text", ["", "grün", b"\xff\x00"])
def test_standard_input_is_a_string_or_bytes(text: str | bytes) -> None:
    assert process.run(["cat"], stdin=text).output == (text if isinstance(text, bytes) else text.encode())


def test_files_of_any_size_are_input_and_output(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(bytes(5_000_000))
    with (tmp_path / "in").open("rb") as source, (tmp_path / "out").open("wb") as target:
        assert process.run(["cat"], stdin=source, stdout=target).output == b""
    assert (tmp_path / "out").stat().st_size == 5_000_000


def test_environment_directory_and_umask_are_the_callers(tmp_path: Path) -> None:
    options = process.Options(env={"PATH": os.environ["PATH"], "A": "b"}, cwd=tmp_path, umask=0o077)
    output = process.run(["sh", "-c", 'echo "$A"; pwd; umask'], options=options).stdout
    assert output.split() == ["b", str(tmp_path), "0077"]


def test_program_without_an_answer_is_killed() -> None:
    with pytest.raises(ToolError, match=r"^sleep 60 failed: no answer in 0.2 s$"):
        process.run(["sleep", "60"], timeout=0.2)


def test_program_that_ignores_sigterm_is_killed_in_a_thread() -> None:
    with pytest.raises(ToolError, match=r"failed: no answer in 0.2 s$"):
        process.run_in_thread(["sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"], timeout=0.2)


def test_programs_run_in_threads_at_the_same_time() -> None:
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda _: process.run_in_thread(FAILS, timeout=20), range(8)))
    assert {(result.stdout, result.stderr, result.returncode) for result in results} == {("out\n", "first\nlast\n", 3)}


@pytest.fixture
def interrupted() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt, as in tasks: devai_tasks.cli.decorators."""

    def interrupt(number: int, _: object) -> None:
        raise KeyboardInterrupt(number)

    before = signal.signal(signal.SIGTERM, interrupt)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("interrupted")
def test_sigterm_is_sent_to_the_running_program(tmp_path: Path) -> None:
    started, stopped = tmp_path / "started", tmp_path / "stopped"
    script = f"trap 'touch {stopped}; exit' TERM; touch {started}; while :; do sleep 0.05; done"

    def stop() -> None:
        wait_for(started.exists)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop).start()
    with pytest.raises(KeyboardInterrupt):
        process.run(["sh", "-c", script])
    wait_for(stopped.exists)


def run_beside(argv: Sequence[str]) -> None:
    with process.beside(argv, stdout=subprocess.DEVNULL) as running:
        running.wait()


def iterate(argv: Sequence[str]) -> None:
    stream = process.Stream(argv)
    try:
        list(stream)
    finally:
        stream.signal(signal.SIGTERM)


@pytest.mark.usefixtures("interrupted")
@pytest.mark.parametrize(
    ("start", "module", "starting"),
    [(process.run, process, "_started"), (iterate, process, "_started"), (run_beside, subprocess, "Popen")],
)
def test_signal_during_the_start_of_a_program_is_sent_to_it(
    start: Callable[[Sequence[str]], object],
    module: ModuleType,
    starting: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent, stopped = tmp_path / "sent", tmp_path / "stopped"
    script = f"trap 'touch {stopped}; exit' TERM; kill -TERM $PPID; touch {sent}; while :; do sleep 0.05; done"
    start_program = getattr(module, starting)

    def slow(*args: Any, **options: Any) -> Any:
        running = start_program(*args, **options)
        wait_for(sent.exists)
        return running

    monkeypatch.setattr(module, starting, slow)
    with pytest.raises(KeyboardInterrupt):
        start(["sh", "-c", script])
    wait_for(stopped.exists)


@pytest.mark.usefixtures("interrupted")
def test_signal_is_not_lost_if_a_program_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        raise MissingToolError("missing")

    monkeypatch.setattr(process, "_started", fail)
    with pytest.raises(KeyboardInterrupt):
        process.run(["true"])


def wait_for(condition: Callable[[], bool]) -> None:
    """Return as soon as the condition holds; fail after 20 seconds."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_killed_program_has_a_negative_exit_code() -> None:
    assert process.run(["sh", "-c", "kill -9 $$"]).returncode == -9


def test_missing_program_is_the_same_error_in_every_function() -> None:
    starts = (process.run, process.foreground, process.Stream, lambda argv: process.beside(argv).__enter__())
    for start in starts:
        with pytest.raises(MissingToolError, match=r"^no-such-program is not installed$"):
            start(MISSING)
    with pytest.raises(MissingToolError, match=r"^no-such-program is not installed; install it$"):
        process.require(MISSING[0], "install it")


def test_program_that_cannot_be_started_is_a_tool_error(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("no interpreter is named", encoding="utf-8")
    program.chmod(0o755)
    starts: tuple[Callable[[Sequence[str]], object], ...] = (
        process.run,
        process.Stream,
        lambda argv: process.run_in_thread(argv, timeout=20),
    )
    for start in starts:
        with pytest.raises(ToolError, match=rf"^{program} failed: .*Exec format error"):
            start([str(program)])


def test_foreground_returns_the_exit_code() -> None:
    assert process.foreground(["sh", "-c", "exit 4"]) == 4
    assert process.foreground(["true"]) == 0


def test_stream_yields_lines_as_they_are_printed_and_then_the_result() -> None:
    stream = process.Stream(("sh", "-c", "echo one; echo two; echo wrong >&2; exit 2"))
    assert next(stream) == "one"
    assert list(stream) == ["two"]
    assert (stream.result().returncode, stream.result().stderr) == (2, "wrong\n")


def test_merged_stream_has_both_outputs() -> None:
    assert sorted(process.Stream(("sh", "-c", "echo one; echo two >&2"), merged=True)) == ["one", "two"]


def test_program_that_outlives_its_caller_completes_after_a_kill(tmp_path: Path) -> None:
    started, done = tmp_path / "started", tmp_path / "done"
    work = f"touch {started}; for i in 1 2 3 4 5; do sleep 0.1; echo $i; done; touch {done}"
    code = f"from devai_tasks.system import process; list(process.Stream(['sh', '-c', {work!r}], outlives=True))"
    with process.beside([sys.executable, "-c", code]) as caller:
        wait_for(started.exists)
        caller.kill()
    wait_for(done.exists)


def test_program_that_outlives_its_caller_is_streamed_while_it_runs(tmp_path: Path) -> None:
    go = tmp_path / "go"
    work = f"echo one; while [ ! -e {go} ]; do sleep 0.05; done; echo two; echo wrong >&2; printf end; exit 3"
    stream = process.Stream(("sh", "-c", work), outlives=True)
    assert next(stream) == "one"
    go.touch()
    assert list(stream) == ["two", "end"]
    assert (stream.result().returncode, stream.result().stderr) == (3, "wrong\n")


@pytest.mark.parametrize("outlives", [False, True])
def test_first_interrupt_is_sent_to_the_program_which_may_clean_up(
    outlives: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    script = "trap 'echo cleaning; exit 1' INT; echo ready; while :; do sleep 0.05; done"
    stream = process.Stream(("sh", "-c", script), outlives=outlives, options=process.Options(own_session=True))
    lines_shown: list[str] = []

    def show(lines: Iterable[str]) -> None:
        for line in lines:
            lines_shown.append(line)
            if line == "ready":
                threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()

    with pytest.raises(KeyboardInterrupt):
        stream.show(show, asked_to_stop="please wait")
    assert lines_shown == ["ready", "cleaning"]
    assert stream.result().returncode == 1
    assert capsys.readouterr().err == "please wait\n"


def test_program_beside_this_process_is_stopped_with_the_block() -> None:
    with process.beside(["sh", "-c", "echo up; exec sleep 60"]) as running:
        assert running.stdout
        assert running.stdout.readline() == "up\n"
        assert running.poll() is None
    assert running.returncode == -signal.SIGTERM


def test_other_programs_run_while_a_program_runs_beside() -> None:
    with process.beside(["sleep", "60"], stdout=subprocess.DEVNULL):
        assert process.run(["echo", "here"]).stdout == "here\n"
