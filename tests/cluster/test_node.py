"""A node of our own leaves nothing on the machine, however it ends."""

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

# What a kubelet sets for a whole machine, and where containerd, the kubelet and network plugins keep things by default.
SETTINGS = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
)
PLACES = ("/run/netns", "/run/flannel", "/var/lib/cni", "/var/lib/kubelet", "/var/log/pods", "/var/log/containers")
ENVIRON = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}


@pytest.fixture(scope="module", autouse=True)
def own(request: pytest.FixtureRequest) -> None:
    """What these tests are about."""
    if request.config.getoption("--context"):
        pytest.skip("the cluster is somebody else's")
    if os.geteuid() != 0:
        skip_or_fail("a node needs root")


@pytest.fixture
def nobodys_node() -> Iterator[Node]:
    """A node whose owner was killed the moment it had made it."""
    make = (
        "from harness.kubernetes import node, releases; print(node.make(releases.NEWEST.programs(), keep=False).folder)"
    )
    script = f"{make}; import os, signal, sys; sys.stdout.flush(); os.kill(os.getpid(), signal.SIGKILL)"
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    ran = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=False)
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    left = Node(Path(ran.stdout.strip()))
    yield left
    if left.folder.exists():
        left.remove()


def machine() -> dict[str, object]:
    """What the machine shows of its own settings, and of places that a cluster could write to."""
    return {
        "settings": {name: Path("/proc/sys", name).read_text(encoding="utf-8") for name in SETTINGS},
        "places": {place: sorted(Path(place).iterdir()) if Path(place).exists() else None for place in PLACES},
    }


def rules() -> set[str]:
    """The machine's own rules for services and pods: those of kube-proxy and of network plugins."""
    said = [
        subprocess.run([tables], capture_output=True, text=True, check=True).stdout.splitlines()
        for tables in ("iptables-save", "ip6tables-save")
    ]
    return {line for lines in said for line in lines if "KUBE-" in line or "CNI-" in line}


# Podman's plugins, for one, leave some.
RULES_BEFORE = rules() if shutil.which("iptables-save") else set()


def traces(name: str, folder: Path) -> list[str]:
    """Where the machine still knows a node, its own folder aside."""
    found = {
        "mounts": str(folder) in Path("/proc/self/mountinfo").read_text(encoding="utf-8"),
        "links": Path("/sys/class/net", name).exists(),
        "rules": bool(rules() - RULES_BEFORE),
        "cgroups": any((hierarchy / name).exists() for hierarchy in cgroups.hierarchies()),
        "processes": bool(processes(folder)),
    }
    return [place for place, there in found.items() if there]


def processes(folder: Path) -> list[int]:
    """Processes that name a node's folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(folder) in (entry / "cmdline").read_text(encoding="utf-8", errors="replace"):
                found.append(int(entry.name))
    return found


def pods_processes(own: Node) -> set[int]:
    """The processes in the cgroups of a node's pods, as the machine numbers them."""
    groups = next(hierarchy / own.name for hierarchy in cgroups.hierarchies() if (hierarchy / own.name).exists())
    files = groups.rglob("cgroup.procs")
    return {int(line) for file in files for line in file.read_text(encoding="utf-8").split()}


def inhabitants(own: Node) -> set[int]:
    """All processes of a node: those in its network, and those of its pods."""
    network = Path("/proc", str(own.first_process), "ns/net").readlink()
    found = pods_processes(own)
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (entry / "ns/net").readlink() == network:
                found.add(int(entry.name))
    return found


def alive(numbers: set[int]) -> set[int]:
    """Those of some processes that still run."""
    return {number for number in numbers if Path("/proc", str(number), "exe").exists()}


def test_a_cluster_leaves_nothing_and_ends_its_pods() -> None:
    before = machine()
    with cluster.running() as started:
        own = started.node
        pod = ["run", "pause", "--image=devai.invalid/pause:node", "--image-pull-policy=Never", "--restart=Never"]
        assert started.kubectl(*pod).returncode == 0
        ready = started.kubectl("wait", "pod/pause", "--for=condition=Ready", "--timeout=60s")
        assert ready.returncode == 0, ready.stderr
        assert len(pods_processes(own)) == 2  # the pod's own and the one that holds its namespaces
        running = inhabitants(own)
        assert len(running) > 10  # the components, too
        assert set(traces(own.name, own.folder)) == {"links", "cgroups", "processes"}
    assert traces(own.name, own.folder) == []
    assert alive(running) == set()
    assert not own.folder.exists()
    assert machine() == before


def test_a_node_ends_with_its_owner_even_when_that_is_killed(nobodys_node: Node) -> None:
    deadline = time.monotonic() + 60
    while "processes" in traces(nobodys_node.name, nobodys_node.folder):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert nobodys_node.folder.exists()  # a folder can't end by itself,

    node.sweep()  # which every new node begins with

    assert not nobodys_node.folder.exists()
    assert traces(nobodys_node.name, nobodys_node.folder) == []


def test_a_cluster_is_kept_until_it_is_taken_down(tmp_path: Path) -> None:
    """`up`, tests by its context, and `down`, as a person types them; in a cache of the test's own."""
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

        running = inhabitants(Node(kubeconfig.parent))
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


def test_two_that_build_wait_for_each_other(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from harness.kubernetes.paths import exclusive_lock\n"
        "with exclusive_lock(Path(sys.argv[1])): print('in', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, env=ENVIRON, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "in\n"
        started = time.monotonic()
        release = subprocess.Popen(["sh", "-c", f"sleep 1; kill -KILL {other.pid}"])
        with exclusive_lock(tmp_path):
            waited = time.monotonic() - started
        release.wait()
    assert waited >= 1  # until the other one was gone, killed as it was
