"""A node: PID, mount and network namespaces on this machine, and a cgroup for the pods.

When the node's first process stops, the kernel stops all other processes of the node, and then removes the node's
mounts, addresses and rules. On the machine remain one end of a veth pair with link-local addresses, a folder and the
empty cgroup; `remove` removes these, also if the process that created the node was killed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.kubernetes import cgroups
from harness.kubernetes.paths import cache, exclusive_lock
from harness.kubernetes.programs import Program, kill_with_parent

ADDRESS = "10.240.0.1"
"""The node's address, the same in all nodes, whose networks are isolated from each other."""
DNS = "169.254.20.10"
"""The address of the node's DNS server: the usual one of NodeLocal DNSCache, which network policies allow."""


@dataclass(frozen=True)
class Node:
    """A node, identified by its folder; the folder's name is the node's number on this machine."""

    folder: Path
    started: list[Program] = field(default_factory=list, compare=False)
    """Programs that this process started in the node."""

    @property
    def name(self) -> str:
        """The name of the node's cgroup, and of the machine's end of the veth pair."""
        return f"devai-node{self.folder.name}"

    @property
    def kept(self) -> bool:
        """Whether the node keeps running after the process that created it has ended."""
        return (self.folder / "kept").exists()

    @property
    def machine_address(self) -> str:
        """The address of the machine's end of the veth pair: link-local, not forwarded by routers."""
        return f"169.254.{64 + int(self.folder.name)}.1"

    @property
    def reachable_at(self) -> str:
        """The address of the node's end of the veth pair."""
        return f"169.254.{64 + int(self.folder.name)}.2"

    @property
    def first_process(self) -> int:
        """The ID of the process that holds the namespaces, in the machine's PID namespace."""
        return int((self.folder / "first-process").read_text(encoding="utf-8"))

    def inside(self, *command: str) -> list[str]:
        """Return the command that runs a command in the node."""
        return ["nsenter", f"--target={self.first_process}", "--mount", "--net", "--pid", "--wd=/", "--", *command]

    def start(self, name: str, command: Sequence[str]) -> Program:
        """Start a component in the node, with its log in the node's folder."""
        program = Program(self.inside(*command), self.folder / f"{name}.log")
        self.started.append(program)
        return program

    def remove(self) -> None:
        """Stop all processes of the node, and remove what remains on the machine."""
        for process in _processes_of(self.folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
            _wait_until_stopped(process)
        for program in self.started:
            program.process.wait()
        subprocess.run(["ip", "link", "delete", self.name], capture_output=True, check=False)  # may be deleted already
        cgroups.remove(self.name)
        shutil.rmtree(self.folder)


def make(programs: Path, *, keep: bool) -> Node:
    """Start a node with only its first process; unless `keep`, the node stops when this process ends.

    Needs root.

    Raises:
        subprocess.CalledProcessError: the namespaces or the network could not be set up.
    """
    with exclusive_lock(nodes()):
        sweep()
        number = next(number for number in range(1, 64) if not _taken(number))
        node = Node(nodes() / str(number))
        node.folder.mkdir(mode=0o700)
        if keep:
            (node.folder / "kept").touch()
        try:
            _set_up(node, programs, keep=keep)
        except BaseException:
            node.remove()
            raise
        return node


def nodes() -> Path:
    """Return the parent folder of the nodes' folders."""
    return cache() / "nodes"


def existing() -> list[Node]:
    """Return all nodes that have a folder."""
    return [Node(folder) for folder in sorted(nodes().glob("[0-9]*"))]


def kept() -> Node | None:
    """Return the running node that was started with `keep`."""
    return next((node for node in existing() if node.kept and _processes_of(node.folder)), None)


def sweep() -> None:
    """Remove the remains of nodes that were not removed, since their creator was killed or the machine restarted."""
    for node in existing():
        if not _processes_of(node.folder):
            node.remove()


def _taken(number: int) -> bool:
    """Whether a number is in use, which may be by a node in another user's cache."""
    node = Node(nodes() / str(number))
    paths = [node.folder, Path("/sys/class/net", node.name)]
    paths += [hierarchy / node.name for hierarchy in cgroups.hierarchies()]
    return any(path.exists() for path in paths)


def _set_up(node: Node, programs: Path, *, keep: bool) -> None:
    cgroups.make(node.name)
    namespaces = ["--mount", "--propagation=slave", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    lifetime = [] if keep else kill_with_parent()
    hold = [str(programs / "pause"), str(node.folder)]  # the folder identifies the node's process
    init = Program([*lifetime, "unshare", *namespaces, "--", *hold], node.folder / "init.log")
    node.started.append(init)
    init.wait_until(lambda: bool(_processes_of(node.folder, first=True)))
    (first,) = _processes_of(node.folder, first=True)
    (node.folder / "first-process").write_text(str(first), encoding="utf-8")

    script = Path(__file__).with_name("node.sh")
    subprocess.run(node.inside("sh", str(script), str(node.folder), str(programs), ADDRESS, DNS), check=True)
    veth = ["ip", "link", "add", node.name, "type", "veth", "peer", "name", "machine", "netns", str(first)]
    subprocess.run(veth, check=True)
    for command in _configure_link(node.machine_address, node.name):
        subprocess.run(command, check=True)
    for command in _configure_link(node.reachable_at, "machine"):
        subprocess.run(node.inside(*command), check=True)


def _configure_link(address: str, device: str) -> list[list[str]]:
    """Return the commands that set the address of one end of the veth pair and enable it."""
    return [
        ["ip", "address", "add", f"{address}/30", "dev", device],
        ["ip", "link", "set", device, "up"],
    ]


def _processes_of(folder: Path, *, first: bool = False) -> list[int]:
    """Return the IDs of a node's first process and, without `first`, of the processes that started it.

    The IDs come from /proc, as an ID in a file may have been reused by another process.
    """
    processes = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                arguments = (entry / "cmdline").read_text(encoding="utf-8", errors="replace").rstrip("\0").split("\0")
            except OSError:  # has stopped meanwhile
                continue
            matches = arguments[-1] == str(folder) and arguments[-2:-1] and arguments[-2].endswith("/pause")
            if matches and (len(arguments) == 2 or not first):
                processes.append(int(entry.name))
    return sorted(processes)


def _wait_until_stopped(process: int, *, seconds: float = 30) -> None:
    """Wait until a process has stopped; a zombie counts as stopped."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            status = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
        except OSError:
            return
        if status.rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.02)
    raise TimeoutError(f"process {process} does not stop")
