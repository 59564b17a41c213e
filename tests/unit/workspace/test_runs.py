"""Runs of tasks: one at a time for each stack, and their history."""

from __future__ import annotations

import errno
import fcntl
import json
import multiprocessing
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.stack import steps
from devai_tasks.system.errors import DevaiError, UsageError
from devai_tasks.workspace import runs

STACK = Stack("dev", "local")
Run = Callable[..., CompletedProcess[str]]


def lines(project: Project) -> list[dict[str, object]]:
    text = (project.root / ".devai" / runs.HISTORY).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_second_run_on_a_stack_is_refused_with_the_first_run(project: Project) -> None:
    first, second = runs.begin("up", []), runs.begin("k8s.apply", [])
    with (
        runs.alone(project, STACK, first),
        pytest.raises(DevaiError, match=r"local-dev is being changed by `inv up` \(\S+@\S+, PID \d+, since "),
        runs.alone(project, STACK, second),
    ):
        pass
    with runs.alone(project, Stack("prod", "local"), second):  # another stack has a separate lock
        pass


def _acquire_lock_and_exit(root: Path) -> None:
    holding = runs.alone(Project(root), STACK, runs.begin("up", []))
    holding.__enter__()
    os._exit(9)


def test_interrupted_run_leaves_no_lock_and_is_reported_once(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    process = multiprocessing.get_context("fork").Process(target=_acquire_lock_and_exit, args=(project.root,))
    process.start()
    process.join()
    with runs.alone(project, STACK, runs.begin("down", [])):
        pass
    assert "`inv up` (" in (errors := capsys.readouterr().err)
    assert "was interrupted, and its lock was released" in errors
    with runs.alone(project, STACK, runs.begin("down", [])):
        pass
    assert capsys.readouterr().err == ""


def test_check_for_another_run_blocks_no_run(project: Project) -> None:
    assert runs.other_run(project, STACK) == ""
    assert not (project.root / ".devai").exists()
    with runs.alone(project, STACK, runs.begin("up", [])):
        assert runs.other_run(project, STACK) == ""  # the run of this process
    shared = (project.state(STACK) / "lock").open(encoding="utf-8")
    fcntl.flock(shared, fcntl.LOCK_SH)
    threading.Timer(0.05, shared.close).start()
    with runs.alone(project, STACK, runs.begin("down", [])):
        pass


@pytest.mark.parametrize(
    ("error", "result"),
    [(UsageError("no"), "refused"), (DevaiError("no"), "failed"), (KeyboardInterrupt(), "interrupted")],
)
def test_history_records_the_result_of_a_run(project: Project, error: BaseException, result: str) -> None:
    with pytest.raises(type(error)), runs.recorded(project, STACK, runs.begin("up", [])):
        raise error
    with runs.recorded(project, STACK, runs.begin("down", ["--data"])):
        pass
    assert [(line["task"], line["flags"], line["result"]) for line in lines(project)] == [
        ("up", [], result),
        ("down", ["--data"], "done"),
    ]
    assert (last := runs.last(project, STACK))
    assert last["task"] == "down"
    assert runs.last(project, Stack("prod", "local")) is None
    assert stat.S_IMODE((project.root / ".devai" / runs.HISTORY).stat().st_mode) == 0o600


def test_truncated_line_of_history_hides_no_other_line(project: Project) -> None:
    with runs.recorded(project, STACK, runs.begin("up", [])):
        pass
    history = project.root / ".devai" / runs.HISTORY
    with history.open("a", encoding="utf-8") as stream:
        stream.write('{"time": "2026-')
    assert (last := runs.last(project, STACK))
    assert last["task"] == "up"
    with runs.recorded(project, STACK, runs.begin("down", [])):
        pass
    assert (last := runs.last(project, STACK))
    assert last["task"] == "down"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
def test_error_of_the_run_is_raised_despite_a_full_disk(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    full = os.open("/dev/full", os.O_RDWR)

    def fail() -> None:
        monkeypatch.setattr(os, "open", lambda *_, **__: full)
        raise DevaiError("of the run")

    with pytest.raises(DevaiError, match="of the run"), runs.recorded(project, STACK, runs.begin("up", [])):
        fail()
    monkeypatch.undo()
    assert "No space left on device; this run was not recorded in the history" in capsys.readouterr().err


def test_step_that_fails_on_a_full_disk_notes_which_steps_are_done() -> None:
    def fail() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "deployment.yaml")

    work = [steps.Step("image", "build", lambda: None), steps.Step("lab", "start", fail)]
    with pytest.raises(OSError, match="No space left") as failed:
        steps.work(work, again="inv up")
    assert failed.value.__notes__ == [
        "image is done, lab is not done; `inv up` continues there after checking the other steps"
    ]


@pytest.mark.parametrize(
    ("selection", "note"),
    [
        ({}, "image, lab are done, models is not done; `inv up` continues there after checking the other steps"),
        ({"start": "lab"}, "lab is done, models is not done; `inv up` continues there after checking the other steps"),
        ({"start": "models"}, "models is not done; `inv up` continues there"),
        ({"only": "models"}, "models is not done; `inv up` continues there"),
    ],
)
def test_only_steps_of_this_run_are_noted_as_done(selection: dict[str, str], note: str) -> None:
    def fail() -> None:
        raise DevaiError("no hub")

    names = {"image": lambda: None, "lab": lambda: None, "models": fail}
    work = [steps.Step(name, name, run) for name, run in names.items()]
    with pytest.raises(DevaiError) as failed:
        steps.work(work, **selection, again="inv up")
    assert failed.value.__notes__ == [note]


def test_note_of_a_failed_step_has_the_command_to_continue(project: Project, devai: Run) -> None:
    flags = ["--from=lab", "--seconds=7", "--gpu", "--set=ports.lab=9777", "--set=env.A=b c"]
    failed = devai("up", *flags, "--set=secrets.TOKEN=a-canary-of-notes${secret:A}")
    assert failed.returncode == 1
    token = "'--set=secrets.TOKEN=***'"
    again = f"inv up --env=dev --cloud=local --gpu --set=ports.lab=9777 '--set=env.A=b c' {token}"
    assert f"lab is not done; `{again} --from=lab --seconds=7` continues there\n" in failed.stderr
    assert "is done" not in failed.stderr
    assert "a-canary-of-notes" not in failed.stderr + failed.stdout
    (line,) = lines(project)
    assert line["flags"] == [
        "--set=ports.lab",
        "--set=env.A",
        "--set=secrets.TOKEN",
        "--gpu",
        "--from=lab",
        "--seconds=7",
    ]


def test_history_has_the_keys_of_overrides_and_no_values(project: Project, devai: Run) -> None:
    devai("compose.up", "--set=env.PASSWORD=a-canary-of-history", "--set=ports.lab=1")
    (line,) = lines(project)
    assert line["flags"] == ["--set=env.PASSWORD", "--set=ports.lab"]
    assert "a-canary-of-history" not in json.dumps(line)


def test_read_only_task_and_dry_run_leave_no_history(project: Project, devai: Run) -> None:
    devai("compose.ps")
    devai("--dry", "compose.up")
    assert not (project.root / ".devai" / runs.HISTORY).exists()
