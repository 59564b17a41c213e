"""Programs for tests, built from Go modules: two versions of Kubernetes with add-ons, kube-score, SOPS, the test pod.

A folder of `modules/` is a Go module that pins its dependencies with checksums, and lists programs of other modules as
tools. OLDEST is the oldest minor version that a cloud supports without a surcharge (EKS until 2 December 2026:
https://docs.aws.amazon.com/eks/latest/userguide/kubernetes-versions.html), NEWEST the newest version.
kubernetes-validate has the schemas of both versions, and the same Go builds both.

To change a version, edit go.mod (k8s.io/kubernetes and, with major version 0 instead of 1, the replaced modules) and
run `go mod tidy`. Nodes run only NEWEST, so OLDEST builds only its API server.
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
    """A Go module of the tests, named like its folder in `modules/`."""

    name: str

    @property
    def source(self) -> Path:
        """The module's source folder."""
        return Path(__file__).parent / "modules" / self.name

    @property
    def label(self) -> str:
        """The name of the programs, for messages and folders."""
        return self.name

    @property
    def flags(self) -> list[str]:
        """Flags of `go build`."""
        return ["-ldflags=-s -w"]

    @cached_property
    def folder(self) -> Path:
        """The folder of the built programs; its name changes with the module's files."""
        digest = hashlib.sha256()
        for file in sorted(path for path in self.source.rglob("*") if path.is_file()):
            digest.update(f"{file.relative_to(self.source)}\0".encode() + file.read_bytes())
        return cache() / "kubernetes" / f"{self.label}-{digest.hexdigest()[:8]}"

    def programs(self) -> Path:
        """Return the folder of the programs after building them if needed; wait if another process is building.

        Raises:
            go.BuildError: Go could not be installed or the build failed.
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
        duration = go.build(self.source, work, flags=self.flags)
        if (work / "server").exists():
            (work / "server").rename(work / "etcd")  # Go names a program like its folder
        work.chmod(0o755)
        work.rename(self.folder)
        print(f"built {self.label} in {duration}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Release(Module):
    """A module with programs of one version of Kubernetes."""

    @cached_property
    def version(self) -> str:
        """The version, such as v1.37.2."""
        text = (self.source / "go.mod").read_text(encoding="utf-8")
        match = re.search(r"^\s*(?:require )?k8s\.io/kubernetes (v\S+)", text, re.MULTILINE)
        if match is None:
            raise ValueError(f"{self.source}/go.mod requires no k8s.io/kubernetes")
        return match[1]

    @property
    def label(self) -> str:
        """The version."""
        return self.version

    @property
    def flags(self) -> list[str]:
        """Flags of `go build` that set the version."""
        major, minor, _ = self.version.removeprefix("v").split(".")
        numbers = {"gitVersion": self.version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
        variables = (f"-X k8s.io/component-base/version.{name}={value}" for name, value in numbers.items())
        return [f"-ldflags=-s -w {' '.join(variables)}"]


OLDEST = Release("oldest")
NEWEST = Release("newest")
TEST_POD = Module("test_pod")
SOPS = Module("sops")
KUBE_SCORE = Module("kube_score")
KUBE_ROUTER = Module("kube_router")
METRICS_SERVER = Module("metrics_server")
