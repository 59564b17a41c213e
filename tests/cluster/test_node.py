"""A temporary node leaves nothing on the machine, even if its owner was killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.kubernetes import cgroups, cluster, node
from harness.kubernetes.api import kubectl_program
from harness.kubernetes.certificates import CONTEXT
from harness.kubernetes.node import Node
from harness.kubernetes.paths import exclusive_lock
from harness.kubernetes.releases import NEWEST
from harness.prerequisites import skip_or_fail

# Kernel settings that a kubelet changes, and default folders of containerd, the kubelet and network plugins.
SETTINGS = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
)
FOLDERS = ("/run/netns", "/run/flannel", "/var/lib/cni", "/var/lib/kubelet", "/var/log/pods", "/var/log/containers")
ENVIRON = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}


@pytest.fixture(scope="module", autouse=True)
def requirements(request: pytest.FixtureRequest) -> None:
    """Require root, and skip the tests for an existing cluster."""
    if request.config.getoption("--context"):
        pytest.skip("these tests create a cluster")
    if os.geteuid() != 0:
        skip_or_fail("a node needs root")


@pytest.fixture
def orphaned_node() -> Iterator[Node]:
    """A node whose owner was killed directly after creating it."""
    make = (
        "from harness.kubernetes import node, releases; print(node.make(releases.NEWEST.programs(), keep=False).folder)"
    )
    script = f"{make}; import os, signal, sys; sys.stdout.flush(); os.kill(os.getpid(), signal.SIGKILL)"
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    owner = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=False)
    assert owner.returncode == -signal.SIGKILL, owner.stderr
    orphan = Node(Path(owner.stdout.strip()))
    yield orphan
    if orphan.folder.exists():
        orphan.remove()


def machine() -> dict[str, object]:
    """Return the machine's kernel settings, and the entries of folders that a cluster could write to."""
    return {
        "settings": {name: Path("/proc/sys", name).read_text(encoding="utf-8") for name in SETTINGS},
        "folders": {name: sorted(Path(name).iterdir()) if Path(name).exists() else None for name in FOLDERS},
    }


def rules() -> set[str]:
    """Return the machine's iptables rules of kube-proxy and network plugins."""
    tables = [
        subprocess.run([program], capture_output=True, text=True, check=True).stdout.splitlines()
        for program in ("iptables-save", "ip6tables-save")
    ]
    return {line for lines in tables for line in lines if "KUBE-" in line or "CNI-" in line}


# Rules of other programs, such as Podman's network plugins.
RULES_BEFORE = rules() if shutil.which("iptables-save") else set()


def traces(name: str, folder: Path) -> list[str]:
    """Return the kinds of resources that the machine still has of a node, besides the node's folder."""
    remaining = {
        "mounts": str(folder) in Path("/proc/self/mountinfo").read_text(encoding="utf-8"),
        "links": Path("/sys/class/net", name).exists(),
        "rules": bool(rules() - RULES_BEFORE),
        "cgroups": any((hierarchy / name).exists() for hierarchy in cgroups.hierarchies()),
        "processes": bool(processes(folder)),
    }
    return [kind for kind, exists in remaining.items() if exists]


def processes(folder: Path) -> list[int]:
    """Return the IDs of processes with a node's folder in their command line."""
    numbers = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(folder) in (entry / "cmdline").read_text(encoding="utf-8", errors="replace"):
                numbers.append(int(entry.name))
    return numbers


def pods_processes(tested: Node) -> set[int]:
    """Return the IDs, in the machine's PID namespace, of the processes in the cgroups of a node's pods."""
    groups = next(hierarchy / tested.name for hierarchy in cgroups.hierarchies() if (hierarchy / tested.name).exists())
    files = groups.rglob("cgroup.procs")
    return {int(line) for file in files for line in file.read_text(encoding="utf-8").split()}


def all_processes(tested: Node) -> set[int]:
    """Return the IDs of all processes of a node: those in its network namespace, and those of its pods."""
    network = Path("/proc", str(tested.first_process), "ns/net").readlink()
    numbers = pods_processes(tested)
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (entry / "ns/net").readlink() == network:
                numbers.add(int(entry.name))
    return numbers


def alive(numbers: set[int]) -> set[int]:
    """Return the IDs of the processes that still run."""
    return {number for number in numbers if Path("/proc", str(number), "exe").exists()}


def test_stopped_cluster_leaves_no_processes_and_no_changes_on_the_machine() -> None:
    before = machine()
    with cluster.running() as started:
        tested = started.node
        pod = ["run", "pause", "--image=devai.invalid/pause:node", "--image-pull-policy=Never", "--restart=Never"]
        assert started.kubectl(*pod).returncode == 0
        ready = started.kubectl("wait", "pod/pause", "--for=condition=Ready", "--timeout=60s")
        assert ready.returncode == 0, ready.stderr
        assert len(pods_processes(tested)) == 2  # the container's process, and the one that holds the pod's namespaces
        running = all_processes(tested)
        assert len(running) > 10  # including the components of Kubernetes
        assert set(traces(tested.name, tested.folder)) == {"links", "cgroups", "processes"}
    assert traces(tested.name, tested.folder) == []
    assert alive(running) == set()
    assert not tested.folder.exists()
    assert machine() == before


def test_node_stops_if_its_owner_is_killed_and_the_next_one_removes_its_folder(orphaned_node: Node) -> None:
    deadline = time.monotonic() + 60
    while "processes" in traces(orphaned_node.name, orphaned_node.folder):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert orphaned_node.folder.exists()  # no process is left that could remove it

    node.sweep()  # every new node calls this first

    assert not orphaned_node.folder.exists()
    assert traces(orphaned_node.name, orphaned_node.folder) == []


def test_cluster_runs_from_up_until_down(tmp_path: Path) -> None:
    """`up`, tests with `--context`, and `down`, as a user types them, with a separate cache folder."""
    cache = tmp_path / "cache/devai-tasks"
    cache.mkdir(parents=True)
    (cache / "kubernetes").symlink_to(NEWEST.programs().parent)
    environ = ENVIRON | {"XDG_CACHE_HOME": str(tmp_path / "cache")}

    def run(*command: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=environ | more, capture_output=True, text=True, check=False)

    command = (sys.executable, "-m", "harness.kubernetes")
    up = run(*command, "up")
    try:
        assert up.returncode == 0, up.stderr
        kubeconfig = Path(up.stdout.removeprefix("export KUBECONFIG=").strip())
        nodes = run(kubectl_program(), "get", "nodes", KUBECONFIG=str(kubeconfig))
        assert " Ready " in nodes.stdout
        assert run(*command, "up").stdout == up.stdout

        running = all_processes(Node(kubeconfig.parent))
        tests = ("tests/cluster/test_api_server.py", f"--context={CONTEXT}", "--rootdir=.", "-p", "no:cacheprovider")
        tested = run(sys.executable, "-m", "pytest", *tests)
        assert " passed" in tested.stdout, tested.stdout
        assert tested.returncode == 0, tested.stdout
    finally:
        down = run(*command, "down")
    assert down.returncode == 0, down.stderr
    assert not kubeconfig.exists()
    assert alive(running) == set()
    assert traces(f"devai-node{kubeconfig.parent.name}", kubeconfig.parent) == []


def test_lock_for_builds_waits_until_its_holder_has_stopped(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from harness.kubernetes.paths import exclusive_lock\n"
        "with exclusive_lock(Path(sys.argv[1])): print('in', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, env=ENVIRON, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "in\n"
        started = time.monotonic()
        killer = subprocess.Popen(["sh", "-c", f"sleep 1; kill -KILL {holder.pid}"])
        with exclusive_lock(tmp_path):
            waited = time.monotonic() - started
        killer.wait()
    assert waited >= 1  # the holder is killed after 1 s
