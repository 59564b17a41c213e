"""A running Kubernetes API, of a test cluster or an existing cluster."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


def kubectl_program() -> str:
    """Return the kubectl of the tests' environment, or else the one on PATH."""
    installed = Path(sys.executable).with_name("kubectl")
    return str(installed) if installed.exists() else "kubectl"


@dataclass(frozen=True)
class Kubernetes:
    """An API server with its kubeconfig."""

    kubeconfig: Path
    version: str
    """The server's version, such as v1.37.2."""
    context: str
    """The kubeconfig's only context."""

    def kubectl(self, *arguments: str, input: str | None = None) -> subprocess.CompletedProcess[str]:  # noqa: A002
        """Run kubectl; return its output and exit code, also if kubectl fails."""
        return subprocess.run(
            [kubectl_program(), f"--kubeconfig={self.kubeconfig}", *arguments],
            input=input or "",
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )

    def get(self, *arguments: str) -> Any:
        """Return the parsed JSON of `kubectl get`; raise AssertionError with kubectl's stderr if it fails."""
        result = self.kubectl("get", *arguments, "--output=json")
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    def apply(self, *objects: dict[str, Any], namespace: str = "") -> subprocess.CompletedProcess[str]:
        """Apply objects by server-side apply; `namespace` is for objects without their own, by default `default`."""
        documents = "\n---\n".join(json.dumps(item) for item in objects)
        return self.kubectl("apply", "--server-side", f"--namespace={namespace}", "--filename=-", input=documents)

    @contextmanager
    def namespace(self, **labels: str) -> Iterator[str]:
        """Create a namespace; delete it afterwards (deletion finishes only where a controller manager runs)."""
        name = f"devai-test-{uuid.uuid4().hex[:8]}"
        metadata = {"name": name, "labels": labels}
        created = self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        assert created.returncode == 0, created.stderr
        try:
            yield name
        finally:
            self.kubectl("delete", "namespace", name, "--wait=false")


@dataclass(frozen=True)
class Cluster(Kubernetes, ABC):
    """A Kubernetes with nodes that run pods."""

    storage_class: str
    """The storage class of claims; on a cluster that tests start, its volumes are ReadWriteMany."""

    @abstractmethod
    def load_image(self, name: str) -> None:
        """Load an image of the local Docker engine into the cluster, under the same name.

        Raises:
            subprocess.CalledProcessError: the image does not exist or could not be loaded.
        """
