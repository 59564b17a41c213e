"""The parent cgroup of a node's pods, separate from all other cgroups of the machine."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path


def hierarchies() -> list[Path]:
    """Return the mount points of cgroups: one for version 2, one for each controller of version 1, or both."""
    mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()]
    return [Path(fields[4]) for fields in mounts if fields[fields.index("-") + 1] in {"cgroup", "cgroup2"}]


def make(name: str) -> None:
    """Create a cgroup in every hierarchy."""
    for hierarchy in hierarchies():
        (hierarchy / name).mkdir()
        # In version 2 a cgroup has to enable controllers for its children.
        controllers = hierarchy / "cgroup.controllers"
        if controllers.exists() and (names := controllers.read_text(encoding="utf-8").split()):
            for folder in (hierarchy, hierarchy / name):
                (folder / "cgroup.subtree_control").write_text(" ".join(f"+{item}" for item in names), encoding="utf-8")


def remove(name: str, *, seconds: float = 20) -> None:
    """Remove a cgroup and its children from every hierarchy after its last process has stopped; raise TimeoutError."""
    deadline = time.monotonic() + seconds
    for hierarchy in hierarchies():
        top = hierarchy / name
        while top.is_dir():
            for folder, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    Path(folder).rmdir()
            if top.is_dir() and time.monotonic() > deadline:
                raise TimeoutError(f"{top} still has processes")
            time.sleep(0.02)
