"""The scripts call the tasks: which one, with which flags, and with its exit code. `inv` is a stand-in that tells."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from devai_tasks.tasks import namespace

SCRIPTS = Path(__file__).parents[2] / "scripts"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def script(tmp_path: Path) -> Run:
    """Run a copy of a script, in a project with two clouds, from somewhere else."""
    inv = tmp_path / ".venv/bin/inv"
    inv.parent.mkdir(parents=True)
    inv.write_text('#!/bin/sh\necho "$@"\nexit 7\n', encoding="utf-8")
    inv.chmod(0o755)
    for cloud in ("aws", "on-premises"):
        (tmp_path / "conf/clouds").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"conf/clouds/{cloud}.yaml").touch()

    def run(name: str, *words: str) -> subprocess.CompletedProcess[str]:
        copy = tmp_path / "scripts" / name
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(SCRIPTS / name, copy)
        return subprocess.run([copy, *words], cwd="/", capture_output=True, text=True, check=False)

    return run


CALLS = {
    "deploy.sh compose up": "compose.up",
    "deploy.sh compose down --env=prod --data": "compose.down --env=prod --data",
    "deploy.sh terraform aws plan --offline": "tf.plan --cloud=aws --offline",
    "deploy.sh terraform gcp apply --env=prod": "tf.apply --cloud=gcp --env=prod",
    "deploy.sh terraform azure destroy": "tf.destroy --cloud=azure",
    "deploy.sh kubernetes aws-prod apply --yes": "k8s.apply --cloud=aws --env=prod --yes",
    "deploy.sh kubernetes aws-blue-green diff": "k8s.diff --cloud=aws --env=blue-green",
    "deploy.sh kubernetes on-premises-dev status": "k8s.status --cloud=on-premises --env=dev",
    "generate-config.sh": "config.render",
    "generate-config.sh --all --check": "config.render --all --check",
    "push-image.sh aws --env=prod --gpu": "image.push --cloud=aws --env=prod --gpu",
}
WRONG = [
    "deploy.sh", "deploy.sh helm", "deploy.sh compose", "deploy.sh compose upp", "deploy.sh compose --env=prod up",
    "deploy.sh terraform plan", "deploy.sh terraform moon plan", "deploy.sh terraform aws", "deploy.sh terraform aws x",
    "deploy.sh kubernetes", "deploy.sh kubernetes prod apply", "deploy.sh kubernetes aws-prod",
    "deploy.sh kubernetes aws-prod lcoal", "generate-config.sh prod", "push-image.sh", "push-image.sh moon",
]  # fmt: skip


@pytest.mark.parametrize("line", CALLS)
def test_a_script_calls_its_task_and_ends_with_its_exit_code(script: Run, line: str) -> None:
    done = script(*line.split())
    assert (done.stdout.strip(), done.returncode) == (CALLS[line], 7)
    assert CALLS[line].split()[0] in namespace.task_names


def test_words_reach_the_task_as_they_were_typed(script: Run) -> None:
    done = script("deploy.sh", "compose", "shell", "--command=echo 'a  b' $HOME")
    assert done.stdout.strip() == "compose.shell --command=echo 'a  b' $HOME"


@pytest.mark.parametrize("line", WRONG)
def test_wrong_words_end_with_2_and_the_usage(script: Run, line: str) -> None:
    done = script(*line.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert f"usage: scripts/{line.partition(' ')[0]}" in done.stderr


@pytest.mark.parametrize("name", ["deploy.sh", "generate-config.sh", "push-image.sh"])
def test_each_says_how_it_is_used(script: Run, name: str) -> None:
    done = script(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: scripts/{name}")


def test_every_word_that_the_usage_names_is_a_task(script: Run) -> None:
    lines = script("deploy.sh", "--help").stdout.splitlines()
    for line, collection in zip(lines, ("compose", "tf", "k8s"), strict=False):
        for word in line.split()[-1].split("|"):
            assert f"{collection}.{word}" in namespace.task_names
