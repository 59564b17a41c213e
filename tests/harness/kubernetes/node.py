"""A node: a machine within the machine, of namespaces for processes, mounts and network, and a cgroup for its pods.

All that runs in it ends with its first process: the kernel sees to that, and with the last one go its mounts, addresses
and rules. The machine keeps one end of a cable (a veth pair with link-local addresses), a folder and the empty cgroup,
which `remove` takes away, also from a node whose owner was killed.
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
"""A node's address: the same in each, as none sees another."""


@dataclass(frozen=True)
class Node:
    """A node by its folder, whose name is its number on this machine."""

    folder: Path
    started: list[Program] = field(default_factory=list, compare=False)
    """What this process started in it."""

    @property
    def name(self) -> str:
        """Its name in the kernel: of its cgroup, and of the machine's end of the cable."""
        return f"devai-node{self.folder.name}"

    @property
    def kept(self) -> bool:
        """Whether it runs on when the process that made it has ended."""
        return (self.folder / "kept").exists()

    @property
    def machine_address(self) -> str:
        """The machine's end of the cable: an address that no router forwards."""
        return f"169.254.{64 + int(self.folder.name)}.1"

    @property
    def reachable_at(self) -> str:
        """The node's end of it."""
        return f"169.254.{64 + int(self.folder.name)}.2"

    @property
    def first_process(self) -> int:
        """The process that holds the namespaces, as the machine numbers it."""
        return int((self.folder / "first-process").read_text(encoding="utf-8"))

    def inside(self, *command: str) -> list[str]:
        """A command that runs in the node."""
        return ["nsenter", f"--target={self.first_process}", "--mount", "--net", "--pid", "--wd=/", "--", *command]

    def start(self, name: str, command: Sequence[str]) -> Program:
        """Run a part of the node, with its log in the node's folder."""
        program = Program(self.inside(*command), self.folder / f"{name}.log")
        self.started.append(program)
        return program

    def remove(self) -> None:
        """End all that runs in the node, and remove what the machine keeps of it."""
        for process in _processes_of(self.folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
            _wait_for_end(process)
        for program in self.started:
            program.process.wait()
        subprocess.run(["ip", "link", "delete", self.name], capture_output=True, check=False)  # may be gone already
        cgroups.remove(self.name)
        shutil.rmtree(self.folder)


def make(programs: Path, *, keep: bool) -> Node:
    """Start a node with no more in it than its first process; unless it is kept, it ends when this process does.

    Raises subprocess.CalledProcessError. Needs root.
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
    """The folder with a folder for each node."""
    return cache() / "nodes"


def existing() -> list[Node]:
    """All nodes that the machine knows of."""
    return [Node(folder) for folder in sorted(nodes().glob("[0-9]*"))]


def kept() -> Node | None:
    """The node that somebody wanted to have."""
    return next((node for node in existing() if node.kept and _processes_of(node.folder)), None)


def sweep() -> None:
    """Remove what is left of nodes that ended otherwise: their owner was killed, or the machine restarted."""
    for node in existing():
        if not _processes_of(node.folder):
            node.remove()


def _taken(number: int) -> bool:
    """Whether a number is in use, perhaps by a node of somebody with another cache."""
    node = Node(nodes() / str(number))
    places = [node.folder, Path("/sys/class/net", node.name)]
    places += [hierarchy / node.name for hierarchy in cgroups.hierarchies()]
    return any(place.exists() for place in places)


def _set_up(node: Node, programs: Path, *, keep: bool) -> None:
    cgroups.make(node.name)
    namespaces = ["--mount", "--propagation=slave", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    lifetime = [] if keep else kill_with_parent()
    hold = [str(programs / "pause"), str(node.folder)]  # the folder says whose process it is
    init = Program([*lifetime, "unshare", *namespaces, "--", *hold], node.folder / "init.log")
    node.started.append(init)
    init.wait_until(lambda: bool(_processes_of(node.folder, first=True)))
    (first,) = _processes_of(node.folder, first=True)
    (node.folder / "first-process").write_text(str(first), encoding="utf-8")

    script = Path(__file__).with_name("node.sh")
    subprocess.run(node.inside("sh", str(script), str(node.folder), str(programs), ADDRESS), check=True)
    cable = ["ip", "link", "add", node.name, "type", "veth", "peer", "name", "machine", "netns", str(first)]
    subprocess.run(cable, check=True)
    for command in _plug(node.machine_address, node.name):
        subprocess.run(command, check=True)
    for command in _plug(node.reachable_at, "machine"):
        subprocess.run(node.inside(*command), check=True)


def _plug(address: str, device: str) -> list[list[str]]:
    """The commands that give an end of a cable its address, and switch it on."""
    return [
        ["ip", "address", "add", f"{address}/30", "dev", device],
        ["ip", "link", "set", device, "up"],
    ]


def _processes_of(folder: Path, *, first: bool = False) -> list[int]:
    """The processes that hold a node, those that started the first one included; a number in a file may be reused."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_text(encoding="utf-8", errors="replace").rstrip("\0").split("\0")
            except OSError:  # ended meanwhile
                continue
            names_it = words[-1] == str(folder) and words[-2:-1] and words[-2].endswith("/pause")
            if names_it and (len(words) == 2 or not first):
                found.append(int(entry.name))
    return sorted(found)


def _wait_for_end(process: int, *, seconds: float = 30) -> None:
    """Wait until a process is gone, or has ended and its parent doesn't know yet."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            status = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
        except OSError:
            return
        if status.rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.02)
    raise TimeoutError(f"process {process} does not end")
