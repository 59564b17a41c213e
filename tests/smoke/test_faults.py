"""`up` that is killed, interrupted or run twice: the next run completes the stack."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import engine
from harness.project import fresh
from harness.stack import ComposeStack

from devai_tasks.config import image_names

INTERRUPTED = 130


@pytest.fixture(scope="module")
def faults_stack(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[ComposeStack]:
    """A separate stack that does not exist yet."""
    project = fresh(tmp_path_factory.mktemp("faults") / "lab")
    (project.conf / "profiles/faults.yaml").write_text(
        f"project: {{name: devai-test}}\nports: {{lab: {free_port()}, ollama: {free_port()}}}\n"
        "image: {packages: minimal}\n",
        encoding="utf-8",
    )
    stack = ComposeStack(project, "faults")
    yield stack
    assert stack.inv("down", "--data", "--confirm=devai-test-local-faults").returncode == 0


def up(stack: ComposeStack) -> subprocess.Popen[str]:
    """Start `inv up` in a new process group, as a terminal does, with stderr redirected to stdout."""
    return subprocess.Popen(
        [str(Path(sys.executable).with_name("inv")), "up", "--env=faults"],
        cwd=stack.project.root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # A shell makes its background jobs ignore SIGINT, and programs inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 - no threads here
    )


def until(process: subprocess.Popen[str], mark: str) -> None:
    """Read the output until a line contains a text."""
    assert process.stdout
    lines = []
    for line in process.stdout:
        lines.append(line)
        if mark in line:
            return
    pytest.fail(f"{mark!r} was not printed:\n{''.join(lines)}")


# Output in the middle of each step.
@pytest.mark.parametrize("mark", ["exporting to image", " Starting", "pulling model"])
def test_up_completes_the_stack_after_a_killed_up(faults_stack: ComposeStack, mark: str) -> None:
    assert faults_stack.inv("down", "--data", "--confirm=devai-test-local-faults").returncode == 0
    engine.docker("rmi", "--force", image_names.lab(faults_stack.settings))
    with up(faults_stack) as process:
        until(process, mark)
        os.killpg(process.pid, signal.SIGKILL)
    again = faults_stack.inv("up")
    assert again.returncode == 0, again.stderr
    assert "was interrupted, and its lock was released" in again.stderr
    assert json.loads(faults_stack.inv("plan", "--json").stdout)["changes"] == []


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_reports_completed_and_remaining_steps(faults_stack: ComposeStack, presses: int) -> None:
    assert faults_stack.inv("down").returncode == 0
    with up(faults_stack) as process:
        until(process, "[2/3]")
        for _ in range(presses):
            os.killpg(process.pid, signal.SIGINT)
        output = process.communicate()[0]
    assert process.returncode == INTERRUPTED, output
    assert "interrupted" in output
    assert "image is done, lab is not done; `inv up --env=faults --cloud=local` continues there" in output
    assert "Traceback" not in output
    last = (faults_stack.project.root / ".devai/history.jsonl").read_text(encoding="utf-8").splitlines()[-1]
    assert json.loads(last)["result"] == "interrupted"
    again = faults_stack.inv("up")
    assert again.returncode == 0, again.stderr
    assert "was interrupted, and its lock" not in again.stderr


def test_concurrent_up_is_refused(faults_stack: ComposeStack) -> None:
    with up(faults_stack) as process:
        until(process, "[1/3]")
        refused = faults_stack.inv("up")
        process.communicate()
    assert process.returncode == 0
    assert refused.returncode == 1
    assert "local-faults is being changed by `inv up` (" in refused.stderr
    assert "nothing was changed; wait until that run ends, or stop it" in refused.stderr


def test_take_over_is_allowed_if_the_owning_folder_no_longer_exists(faults_stack: ComposeStack, tmp_path: Path) -> None:
    assert faults_stack.inv("up").returncode == 0
    assert faults_stack.inv("stop").returncode == 0
    new_owner = ComposeStack(fresh(tmp_path / "new-owner"), "faults")
    shutil.copy(faults_stack.project.conf / "profiles/faults.yaml", new_owner.project.conf / "profiles")
    # The moved folder contains the secrets that are mounted into the containers.
    moved = faults_stack.project.root.rename(tmp_path / "moved")
    try:
        refused = new_owner.inv("up")
        assert refused.returncode == 2
        assert f"belongs to the folder {faults_stack.project.root}, which no longer exists" in refused.stderr
        assert "`--take-over` takes the stack over" in refused.stderr
        taken_over = new_owner.inv("up", "--take-over")
        assert taken_over.returncode == 0, taken_over.stderr
        assert new_owner.jupyter.status("api/status") == 200
    finally:
        moved.rename(faults_stack.project.root)
    shutil.rmtree(new_owner.project.root)
    assert faults_stack.inv("up", "--take-over").returncode == 0


def test_stop_and_start_keep_files_and_restore_replaces_them(faults_stack: ComposeStack, tmp_path: Path) -> None:
    assert faults_stack.inv("up").returncode == 0
    faults_stack.jupyter.execute("from pathlib import Path; Path.home().joinpath('kept.txt').write_text('kept')")
    archive = tmp_path / "home.tar.gz"
    backed_up = faults_stack.inv("data.backup", f"--file={archive}")
    assert backed_up.returncode == 0, backed_up.stderr
    listed = subprocess.run(["tar", "-tzf", archive], capture_output=True, text=True, check=True).stdout.splitlines()
    assert "./kept.txt" in listed
    assert not [name for name in listed if name.startswith("./work/")]  # a folder of this machine
    assert faults_stack.inv("data.backup", f"--file={archive}").returncode == 2  # the file exists

    assert faults_stack.inv("stop").returncode == 0
    rows = json.loads(faults_stack.inv("status", "--json").stdout)["rows"]
    assert {row["state"].split()[0] for row in rows} == {"exited"}
    started = faults_stack.inv("start")
    assert started.returncode == 0, started.stderr
    faults_stack.jupyter.execute("from pathlib import Path; Path.home().joinpath('kept.txt').write_text('changed')")
    assert faults_stack.inv("data.restore", f"--file={archive}").returncode == 2  # no terminal to ask
    restored = faults_stack.inv("data.restore", f"--file={archive}", "--yes")
    assert restored.returncode == 0, restored.stderr
    read = faults_stack.jupyter.execute("from pathlib import Path; print(Path.home().joinpath('kept.txt').read_text())")
    assert read.strip() == "kept"
