"""One run at a time on a stack, and what is written down of it."""

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


def test_a_second_run_on_a_stack_is_told_who_has_it(project: Project) -> None:
    first, second = runs.begin("up", []), runs.begin("k8s.apply", [])
    with (
        runs.alone(project, STACK, first),
        pytest.raises(DevaiError, match=r"local-dev is being changed by `inv up` \(\S+@\S+, PID \d+, since "),
        runs.alone(project, STACK, second),
    ):
        pass
    with runs.alone(project, Stack("prod", "local"), second):  # another stack is nobody's concern
        pass


def _hold_and_die(root: Path) -> None:
    holding = runs.alone(Project(root), STACK, runs.begin("up", []))
    holding.__enter__()
    os._exit(9)


def test_a_run_that_broke_off_leaves_no_lock_and_is_told_of(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    process = multiprocessing.get_context("fork").Process(target=_hold_and_die, args=(project.root,))
    process.start()
    process.join()
    with runs.alone(project, STACK, runs.begin("down", [])):
        pass
    assert "`inv up` (" in (said := capsys.readouterr().err)
    assert "was interrupted, and its lock was released" in said
    with runs.alone(project, STACK, runs.begin("down", [])):
        pass
    assert capsys.readouterr().err == ""


def test_who_only_asks_whether_a_stack_is_being_changed_keeps_nobody_from_it(project: Project) -> None:
    assert runs.other_run(project, STACK) == ""
    assert not (project.root / ".devai").exists()
    with runs.alone(project, STACK, runs.begin("up", [])):
        assert runs.other_run(project, STACK) == ""  # it is this one
    asking = (project.state(STACK) / "lock").open(encoding="utf-8")
    fcntl.flock(asking, fcntl.LOCK_SH)
    threading.Timer(0.05, asking.close).start()
    with runs.alone(project, STACK, runs.begin("down", [])):
        pass


@pytest.mark.parametrize(
    ("error", "result"),
    [(UsageError("no"), "refused"), (DevaiError("no"), "failed"), (KeyboardInterrupt(), "interrupted")],
)
def test_history_says_how_a_run_ended(project: Project, error: BaseException, result: str) -> None:
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


def test_a_line_that_was_cut_off_hides_no_other(project: Project) -> None:
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


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a full disk at hand")
def test_on_a_full_disk_the_error_of_the_run_itself_counts(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    full = os.open("/dev/full", os.O_RDWR)

    def fail() -> None:
        monkeypatch.setattr(os, "open", lambda *_, **__: full)
        raise DevaiError("it")

    with pytest.raises(DevaiError, match="it"), runs.recorded(project, STACK, runs.begin("up", [])):
        fail()
    monkeypatch.undo()
    assert "No space left on device; this run was not recorded in the history" in capsys.readouterr().err


def test_a_step_that_a_full_disk_ends_says_where_that_leaves_the_stack() -> None:
    def fail() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "deployment.yaml")

    work = [steps.Step("image", "build", lambda: None), steps.Step("lab", "start", fail)]
    with pytest.raises(OSError, match="No space left") as failed:
        steps.work(work, again="inv up")
    assert failed.value.__notes__ == [
        "image is done, lab is not done; `inv up` continues there after checking the other steps"
    ]


@pytest.mark.parametrize(
    ("chosen", "note"),
    [
        ({}, "image, lab are done, models is not done; `inv up` continues there after checking the other steps"),
        ({"start": "lab"}, "lab is done, models is not done; `inv up` continues there after checking the other steps"),
        ({"start": "models"}, "models is not done; `inv up` continues there"),
        ({"only": "models"}, "models is not done; `inv up` continues there"),
    ],
)
def test_only_a_step_that_was_looked_at_is_called_done(chosen: dict[str, str], note: str) -> None:
    def fail() -> None:
        raise DevaiError("no hub")

    names = {"image": lambda: None, "lab": lambda: None, "models": fail}
    work = [steps.Step(name, name, run) for name, run in names.items()]
    with pytest.raises(DevaiError) as failed:
        steps.work(work, **chosen, again="inv up")
    assert failed.value.__notes__ == [note]


def test_what_goes_on_is_the_same_command(project: Project, devai: Run) -> None:
    given = ["--from=lab", "--seconds=7", "--gpu", "--set=ports.lab=9777", "--set=env.A=b c"]
    failed = devai("up", *given, "--set=secrets.TOKEN=a-canary-of-notes${secret:A}")
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


def test_history_has_the_keys_of_overrides_and_no_value(project: Project, devai: Run) -> None:
    devai("compose.up", "--set=env.PASSWORD=a-canary-of-history", "--set=ports.lab=1")
    (line,) = lines(project)
    assert line["flags"] == ["--set=env.PASSWORD", "--set=ports.lab"]
    assert "a-canary-of-history" not in json.dumps(line)


def test_what_only_shows_leaves_no_line(project: Project, devai: Run) -> None:
    devai("compose.ps")
    devai("--dry", "compose.up")
    assert not (project.root / ".devai" / runs.HISTORY).exists()
