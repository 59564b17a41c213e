"""A Kubernetes that answers, whoever started it."""

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
    """The kubectl of the environment that the tests run in, else the one on PATH."""
    beside = Path(sys.executable).with_name("kubectl")
    return str(beside) if beside.exists() else "kubectl"


@dataclass(frozen=True)
class Kubernetes:
    """An API server as a person reaches it: through a kubeconfig of its own."""

    kubeconfig: Path
    version: str
    """As the server gives it: v1.37.2."""
    context: str
    """The kubeconfig's only context."""

    def kubectl(self, *arguments: str, input: str | None = None) -> subprocess.CompletedProcess[str]:  # noqa: A002
        """Run kubectl; what it says and its exit code are the caller's to judge."""
        return subprocess.run(
            [kubectl_program(), f"--kubeconfig={self.kubeconfig}", *arguments],
            input=input or "",
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )

    def get(self, *arguments: str) -> Any:
        """What `kubectl get` shows, as JSON; raises AssertionError with kubectl's own words."""
        shown = self.kubectl("get", *arguments, "--output=json")
        assert shown.returncode == 0, shown.stderr
        return json.loads(shown.stdout)

    def apply(self, *objects: dict[str, Any], namespace: str = "default") -> subprocess.CompletedProcess[str]:
        """Apply objects on the server side."""
        documents = "\n---\n".join(json.dumps(item) for item in objects)
        return self.kubectl("apply", "--server-side", f"--namespace={namespace}", "--filename=-", input=documents)

    @contextmanager
    def namespace(self, **labels: str) -> Iterator[str]:
        """A namespace of the caller's own, which is gone afterwards (where a controller manager runs)."""
        name = f"devai-test-{uuid.uuid4().hex[:8]}"
        metadata = {"name": name, "labels": labels}
        made = self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        assert made.returncode == 0, made.stderr
        try:
            yield name
        finally:
            self.kubectl("delete", "namespace", name, "--wait=false")


@dataclass(frozen=True)
class Cluster(Kubernetes, ABC):
    """A Kubernetes with nodes, where pods run."""

    storage_class: str
    """The class for claims; on a cluster of our own many pods may mount its volumes (ReadWriteMany)."""

    @abstractmethod
    def load_image(self, name: str) -> None:
        """Give pods an image of the local Docker engine, under the same name.

        Raises subprocess.CalledProcessError.
        """
