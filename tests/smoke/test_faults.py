"""What happens to `up` when it is ended, or started twice: nothing is half-applied, and the next run heals it."""

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
def faulty(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[ComposeStack]:
    """A stack of its own, of which nothing is there yet."""
    project = fresh(tmp_path_factory.mktemp("faults") / "lab")
    (project.conf / "profiles/faults.yaml").write_text(
        f"project: {{name: devai-test}}\nports: {{lab: {free_port()}, ollama: {free_port()}}}\n"
        "image: {packages: minimal}\n",
        encoding="utf-8",
    )
    own = ComposeStack(project, "faults")
    yield own
    assert own.inv("down", "--data", "--confirm=devai-test-local-faults").returncode == 0


def up(stack: ComposeStack) -> subprocess.Popen[str]:
    """`inv up` in a process group of its own, as a terminal has it; all that it says is one stream."""
    return subprocess.Popen(
        [str(Path(sys.executable).with_name("inv")), "up", "--env=faults"],
        cwd=stack.project.root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # A shell that starts things in the background makes them deaf to Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 - no threads here
    )


def until(process: subprocess.Popen[str], mark: str) -> None:
    """Read what it says until a text comes."""
    assert process.stdout
    said = []
    for line in process.stdout:
        said.append(line)
        if mark in line:
            return
    pytest.fail(f"{mark!r} never came:\n{''.join(said)}")


# What is printed in the middle of each step.
@pytest.mark.parametrize("mark", ["exporting to image", " Starting", "pulling model"])
def test_an_up_that_is_killed_is_healed_by_the_next(faulty: ComposeStack, mark: str) -> None:
    assert faulty.inv("down", "--data", "--confirm=devai-test-local-faults").returncode == 0
    engine.docker("rmi", "--force", image_names.lab(faulty.settings))
    with up(faulty) as process:
        until(process, mark)
        os.killpg(process.pid, signal.SIGKILL)
    again = faulty.inv("up")
    assert again.returncode == 0, again.stderr
    assert "was interrupted, and its lock was released" in again.stderr
    assert json.loads(faulty.inv("plan", "--json").stdout)["changes"] == []


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_says_where_that_leaves_the_stack(faulty: ComposeStack, presses: int) -> None:
    assert faulty.inv("down").returncode == 0
    with up(faulty) as process:
        until(process, "[2/3]")
        for _ in range(presses):
            os.killpg(process.pid, signal.SIGINT)
        said = process.communicate()[0]
    assert process.returncode == INTERRUPTED, said
    assert "interrupted" in said
    assert "image is done, lab is not done; `inv up --env=faults --cloud=local` continues there" in said
    assert "Traceback" not in said
    last = (faulty.project.root / ".devai/history.jsonl").read_text(encoding="utf-8").splitlines()[-1]
    assert json.loads(last)["result"] == "interrupted"
    again = faulty.inv("up")
    assert again.returncode == 0, again.stderr
    assert "was interrupted, and its lock" not in again.stderr


def test_two_at_the_same_time_do_not_run_into_each_other(faulty: ComposeStack) -> None:
    with up(faulty) as process:
        until(process, "[1/3]")
        refused = faulty.inv("up")
        process.communicate()
    assert process.returncode == 0
    assert refused.returncode == 1
    assert "local-faults is being changed by `inv up` (" in refused.stderr
    assert "nothing was changed; wait until that run ends, or stop it" in refused.stderr


def test_a_stack_whose_checkout_is_gone_is_taken_over(faulty: ComposeStack, tmp_path: Path) -> None:
    assert faulty.inv("up").returncode == 0
    assert faulty.inv("stop").returncode == 0
    following = ComposeStack(fresh(tmp_path / "following"), "faults")
    shutil.copy(faulty.project.conf / "profiles/faults.yaml", following.project.conf / "profiles")
    gone = faulty.project.root.rename(tmp_path / "gone")  # with the secrets that the containers have mounted
    try:
        refused = following.inv("up")
        assert refused.returncode == 2
        assert f"belongs to the folder {faulty.project.root}, which no longer exists" in refused.stderr
        assert "`--take-over` takes the stack over" in refused.stderr
        taken = following.inv("up", "--take-over")
        assert taken.returncode == 0, taken.stderr
        assert following.jupyter.status("api/status") == 200
    finally:
        gone.rename(faulty.project.root)
    shutil.rmtree(following.project.root)
    assert faulty.inv("up", "--take-over").returncode == 0


def test_a_stack_rests_and_comes_back_with_its_files(faulty: ComposeStack, tmp_path: Path) -> None:
    assert faulty.inv("up").returncode == 0
    faulty.jupyter.execute("from pathlib import Path; Path.home().joinpath('kept.txt').write_text('kept')")
    archive = tmp_path / "home.tar.gz"
    backed_up = faulty.inv("data.backup", f"--file={archive}")
    assert backed_up.returncode == 0, backed_up.stderr
    listed = subprocess.run(["tar", "-tzf", archive], capture_output=True, text=True, check=True).stdout.splitlines()
    assert "./kept.txt" in listed
    assert not [name for name in listed if name.startswith("./work/")]  # a person's own folder
    assert faulty.inv("data.backup", f"--file={archive}").returncode == 2  # it is there already

    assert faulty.inv("stop").returncode == 0
    rows = json.loads(faulty.inv("status", "--json").stdout)["rows"]
    assert {row["state"].split()[0] for row in rows} == {"exited"}
    started = faulty.inv("start")
    assert started.returncode == 0, started.stderr
    faulty.jupyter.execute("from pathlib import Path; Path.home().joinpath('kept.txt').write_text('changed')")
    assert faulty.inv("data.restore", f"--file={archive}").returncode == 2  # nobody to ask
    restored = faulty.inv("data.restore", f"--file={archive}", "--yes")
    assert restored.returncode == 0, restored.stderr
    read = faulty.jupyter.execute("from pathlib import Path; print(Path.home().joinpath('kept.txt').read_text())")
    assert read.strip() == "kept"
