"""The scripts call the tasks: which one, with which flags, and with its exit code. `inv` is a stand-in that tells."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from devai_tasks.tasks import namespace

SCRIPTS = Path(__file__).parents[2] / "scripts"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def script(tmp_path: Path) -> Run:
    """Run a copy of a script and those beside it, in a project with two clouds, from somewhere else."""
    inv = tmp_path / ".venv/bin/inv"
    inv.parent.mkdir(parents=True)
    inv.write_text('#!/bin/sh\necho "$@"\nexit 7\n', encoding="utf-8")
    inv.chmod(0o755)
    for cloud in ("aws", "on-premises"):
        (tmp_path / "conf/clouds").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"conf/clouds/{cloud}.yaml").touch()

    def run(name: str, *words: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        copy = shutil.copytree(SCRIPTS, tmp_path / "scripts", dirs_exist_ok=True) / name
        return subprocess.run(
            [copy, *words], cwd="/", env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )

    return run


# Answers where DOCKER_HOST leads to its socket, as Docker's command line does of an engine.
DOCKER = """#!/bin/sh
case "$1 $DOCKER_HOST" in
--version*) echo {program} version 28.2.2 ;;
context*) echo unix:///nonexistent/docker.sock ;;
"version unix://$XDG_RUNTIME_DIR/podman/podman.sock") echo 5.4.2 ;;
compose*) echo 2.40.3 ;;
buildx*) echo v0.29.1 ;;
*) exit 1 ;;
esac
"""


@pytest.mark.parametrize(
    ("program", "there", "content"),
    [("Docker", True, True), ("Docker", False, False), ("podman", True, False)],
)
def test_bootstrap_is_content_with_a_podman_that_listens_to_docker(
    script: Run, tmp_path: Path, program: str, there: bool, content: bool
) -> None:
    docker = DOCKER.replace("{program}", program)
    for name, text in {"bin/docker": docker, "bin/id": "#!/bin/sh\necho 1000\n", ".venv/bin/python": ""}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    (tmp_path / ".venv/.bootstrap").write_text(f"pulled {tmp_path} 4294967295 0\n", encoding="utf-8")
    if there:
        (tmp_path / "podman").mkdir()
        (tmp_path / "podman/podman.sock").touch()
    environ = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "XDG_RUNTIME_DIR": str(tmp_path)}
    done = script("bootstrap.sh", environ=environ)
    assert (done.returncode, not done.stderr) == ((0, True) if content else (1, False)), done.stderr


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


@pytest.mark.parametrize("line", ["deploy.sh compose up", "generate-config.sh", "push-image.sh aws"])
def test_without_an_environment_the_next_command_is_named(script: Run, tmp_path: Path, line: str) -> None:
    (tmp_path / ".venv/bin/inv").unlink()
    done = script(*line.split())
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "there is no Python environment here yet: make bootstrap\n"


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
