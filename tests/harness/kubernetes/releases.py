"""The programs that tests need, built from Go modules: two versions of Kubernetes, a small one for pods, and SOPS.

A folder of `modules/` is a Go module that pins all that goes into it, with checksums, and names as its tools what is
needed of others. Oldest is the oldest minor that a cloud serves at its ordinary price (EKS until 2 December 2026:
https://docs.aws.amazon.com/eks/latest/userguide/kubernetes-versions.html), newest the newest there is.
kubernetes-validate has the schemas of both, and one Go builds both.

To move one: change the versions in its go.mod (k8s.io/kubernetes and, with 0 for 1, all that is replaced), then
`go mod tidy`. Only the newest has a node, so the oldest needs nothing but its API server.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from harness.kubernetes import go
from harness.kubernetes.paths import cache, exclusive_lock


@dataclass(frozen=True)
class Module:
    """A Go module of ours, by the name of its folder in `modules/`."""

    name: str

    @property
    def source(self) -> Path:
        """Its folder."""
        return Path(__file__).parent / "modules" / self.name

    @property
    def label(self) -> str:
        """What its programs are."""
        return self.name

    @property
    def flags(self) -> list[str]:
        """What `go build` is told about them."""
        return ["-ldflags=-s -w"]

    @cached_property
    def folder(self) -> Path:
        """Where its programs are once they are built; the name changes with every change of the module."""
        digest = hashlib.sha256()
        for file in sorted(path for path in self.source.rglob("*") if path.is_file()):
            digest.update(f"{file.relative_to(self.source)}\0".encode() + file.read_bytes())
        return cache() / "kubernetes" / f"{self.label}-{digest.hexdigest()[:8]}"

    def programs(self) -> Path:
        """The folder with its programs, built if they aren't there; whoever else builds is waited for.

        Raises go.BuildError.
        """
        if self.folder.is_dir():
            return self.folder
        parent = self.folder.parent
        with exclusive_lock(parent):
            if not self.folder.is_dir():
                for unfinished in parent.glob("unfinished-*"):
                    shutil.rmtree(unfinished)
                self._build(Path(tempfile.mkdtemp(prefix="unfinished-", dir=parent)))
        return self.folder

    def _build(self, work: Path) -> None:
        print(f"building {self.label} from Go modules, once", file=sys.stderr, flush=True)
        took = go.build(self.source, work, flags=self.flags)
        if (work / "server").exists():
            (work / "server").rename(work / "etcd")  # Go names a program after its folder
        work.chmod(0o755)
        work.rename(self.folder)
        print(f"built {self.label} in {took}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Release(Module):
    """A module with programs of one version of Kubernetes."""

    @cached_property
    def version(self) -> str:
        """Its version, as in v1.37.2."""
        text = (self.source / "go.mod").read_text(encoding="utf-8")
        found = re.search(r"^\s*(?:require )?k8s\.io/kubernetes (v\S+)", text, re.MULTILINE)
        if found is None:
            raise ValueError(f"{self.source}/go.mod requires no k8s.io/kubernetes")
        return found[1]

    @property
    def label(self) -> str:
        """The version."""
        return self.version

    @property
    def flags(self) -> list[str]:
        """With the version, which the programs can't know otherwise."""
        major, minor, _ = self.version.removeprefix("v").split(".")
        numbers = {"gitVersion": self.version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
        variables = (f"-X k8s.io/component-base/version.{name}={value}" for name, value in numbers.items())
        return [f"-ldflags=-s -w {' '.join(variables)}"]


OLDEST = Release("oldest")
NEWEST = Release("newest")
TEST_POD = Module("test_pod")
SOPS = Module("sops")
KUBE_SCORE = Module("kube_score")
