"""Scripts that call tasks: task, flags and exit code. `inv` is a fake that prints its arguments."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from harness.prerequisites import skip_or_fail

from devai_tasks.cli.collections import namespace

SCRIPTS = Path(__file__).parents[2] / "scripts"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run_script(tmp_path: Path) -> Run:
    """A function that runs a copy of a script from another folder, in a project with two clouds."""
    inv = tmp_path / ".venv/bin/inv"
    inv.parent.mkdir(parents=True)
    inv.write_text('#!/bin/sh\necho "$@"\nexit 7\n', encoding="utf-8")
    inv.chmod(0o755)
    for cloud in ("aws", "on-premises"):
        (tmp_path / "conf/clouds").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"conf/clouds/{cloud}.yaml").touch()

    def run(name: str, *arguments: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        copy = shutil.copytree(SCRIPTS, tmp_path / "scripts", dirs_exist_ok=True) / name
        return subprocess.run(
            [copy, *arguments],
            cwd="/",
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


# Fake Docker command line, which answers only if DOCKER_HOST is the socket of Podman.
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
    ("program", "socket_exists", "succeeds"),
    [("Docker", True, True), ("Docker", False, False), ("podman", True, False)],
)
def test_bootstrap_accepts_podman_only_with_its_socket_and_docker_as_the_client(
    run_script: Run, tmp_path: Path, program: str, socket_exists: bool, succeeds: bool
) -> None:
    docker = DOCKER.replace("{program}", program)
    for name, text in {"bin/docker": docker, "bin/id": "#!/bin/sh\necho 1000\n", ".venv/bin/python": ""}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    (tmp_path / ".venv/.bootstrap").write_text(f"pulled {tmp_path} 4294967295 0\n", encoding="utf-8")
    if socket_exists:
        (tmp_path / "podman").mkdir()
        (tmp_path / "podman/podman.sock").touch()
    environ = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "XDG_RUNTIME_DIR": str(tmp_path)}
    result = run_script("bootstrap.sh", environ=environ)
    assert (result.returncode, not result.stderr) == ((0, True) if succeeds else (1, False)), result.stderr


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
def test_script_calls_its_task_and_returns_the_exit_code(run_script: Run, line: str) -> None:
    result = run_script(*line.split())
    assert (result.stdout.strip(), result.returncode) == (CALLS[line], 7)
    assert CALLS[line].split()[0] in namespace.task_names


@pytest.mark.parametrize("line", ["deploy.sh compose up", "generate-config.sh", "push-image.sh aws"])
def test_missing_environment_is_reported_with_the_next_command(run_script: Run, tmp_path: Path, line: str) -> None:
    (tmp_path / ".venv/bin/inv").unlink()
    result = run_script(*line.split())
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == ".venv is missing: run make bootstrap\n"


def test_arguments_are_passed_to_the_task_unchanged(run_script: Run) -> None:
    result = run_script("deploy.sh", "compose", "shell", "--command=echo 'a  b' $HOME")
    assert result.stdout.strip() == "compose.shell --command=echo 'a  b' $HOME"


@pytest.mark.parametrize("line", WRONG)
def test_wrong_arguments_exit_with_2_and_the_usage(run_script: Run, line: str) -> None:
    result = run_script(*line.split())
    assert (result.returncode, result.stdout) == (2, "")
    assert f"usage: scripts/{line.partition(' ')[0]}" in result.stderr


@pytest.mark.parametrize("name", ["deploy.sh", "generate-config.sh", "push-image.sh"])
def test_help_prints_the_usage(run_script: Run, name: str) -> None:
    result = run_script(name, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"usage: scripts/{name}")


def test_every_verb_in_the_usage_is_a_task(run_script: Run) -> None:
    lines = run_script("deploy.sh", "--help").stdout.splitlines()
    for line, collection in zip(lines, ("compose", "tf", "k8s"), strict=False):
        for verb in line.split()[-1].split("|"):
            assert f"{collection}.{verb}" in namespace.task_names


# Fake engine, which answers after its start and has no containers.
ENGINE = {
    "dockerd": """#!/bin/bash
for word in "$@"; do case $word in --pidfile=*) echo $$ >"${word#*=}" ;; esac; done
touch "$DEVAI_ENGINE_DIR/answers"
exec -a "dockerd $* " sleep 60
""",
    "docker": """#!/bin/sh
case "$*" in *version) [ -e "$DEVAI_ENGINE_DIR/answers" ] ;; esac
""",
}
# A separate network namespace, and a separate PID namespace, whose processes are killed with it.
ISOLATED = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
# Three machines, as network namespaces: the host, a container on the bridge of its engine, and a machine outside.
NETWORK = """
sysctl -qw net.ipv4.ip_forward=1
ip link set lo up
iptables -A FORWARD -d "$POOL" -j ACCEPT # rule of version 0.1
"$ENGINE" start
unshare --net sleep 60 & container=$!
unshare --net sleep 60 & outside=$!
sleep 0.3
ip link add to-container type veth peer name eth0 netns "$container"
ip link add to-outside type veth peer name eth0 netns "$outside"
ip link set to-container up master "$BRIDGE"
ip address add 192.0.2.1/24 dev to-outside
ip link set to-outside up
enter() { nsenter --net --target "$@"; }
for end in "$container $PREFIX.2 $PREFIX.1" "$outside 192.0.2.2 192.0.2.1"; do
    set -- $end
    enter "$1" ip link set lo up
    enter "$1" ip address add "$2/24" dev eth0
    enter "$1" ip link set eth0 up
    enter "$1" ip route add default via "$3"
    enter "$1" "$PYTHON" -m http.server --bind "$2" 8000 >/dev/null 2>&1 &
done
get() { "$PYTHON" -c 'import sys, urllib.request as web; web.urlopen(sys.argv[1], timeout=1)' "http://$1:8000/"; }
export -f get
for _ in $(seq 30); do get "$PREFIX.2" 2>/dev/null && break; sleep 0.2; done
get "$PREFIX.2" 2>/dev/null && echo machine to container
enter "$container" bash -c 'get 192.0.2.2' 2>/dev/null && echo container to outside
enter "$outside" bash -c "get $PREFIX.2" 2>/dev/null && echo outside to container
"$ENGINE" stop
iptables -S FORWARD
iptables -t nat -S POSTROUTING
"""


@pytest.mark.skipif(sys.platform != "linux", reason="network namespaces need Linux")
def test_only_replies_reach_the_containers_of_an_engine_from_outside(tmp_path: Path) -> None:
    """Sends real packets through the rules of the script, in separate namespaces of this machine."""
    if os.geteuid() != 0 or not shutil.which("iptables"):
        skip_or_fail("network namespaces need root, and the rules need iptables")
    for name, text in ENGINE.items():
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "bin" / name).write_text(text, encoding="utf-8")
        (tmp_path / "bin" / name).chmod(0o755)
    folder = Path(tempfile.mkdtemp(prefix="devai-"))  # the path of a socket must be short
    slot = int(subprocess.run(["cksum"], input=str(folder).encode(), capture_output=True, check=True).stdout.split()[0])
    prefix = f"198.{18 + slot % 32 // 16}.{slot % 32 % 16 * 16}"
    environ = {
        **os.environ,
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "DEVAI_ENGINE_DIR": str(folder),
        "ENGINE": str(SCRIPTS / "engine.sh"),
        "BRIDGE": f"devai{slot % 32}",
        "PREFIX": prefix,
        "POOL": f"{prefix}.0/20",
        "PYTHON": sys.executable,
    }
    try:
        result = subprocess.run(
            [*ISOLATED, "bash", "-c", NETWORK],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        shutil.rmtree(folder)
    assert result.stdout.splitlines() == [
        "machine to container", "container to outside", "-P FORWARD ACCEPT", "-P POSTROUTING ACCEPT"
    ], result.stderr  # fmt: skip
