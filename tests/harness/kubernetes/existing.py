"""A cluster that already runs: kind, k3d, minikube, Docker Desktop or another, selected by its context."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness.kubernetes.api import Cluster, kubectl_program


@dataclass(frozen=True)
class ExistingCluster(Cluster):
    """A cluster that tests neither start nor stop; tests use separate namespaces."""

    def load_image(self, name: str) -> None:
        """Load an image into the cluster's nodes, with the program that created the cluster."""
        if command := load_command(self.context, name):
            subprocess.run(command, check=True, capture_output=True)


def load_command(context: str, image: str) -> list[str]:
    """Return the command that loads an image; it is empty if the cluster uses the engine's images.

    Raises:
        ValueError: the program that created the cluster is not supported.
    """
    creator, _, name = context.partition("-")
    match creator:
        case "kind":
            return ["kind", "load", "docker-image", image, f"--name={name}"]
        case "k3d":
            return ["k3d", "image", "import", image, f"--cluster={name}"]
        case "minikube":
            return ["minikube", "image", "load", image, f"--profile={context}"]
        case "docker" | "rancher" | "orbstack":
            return []
    raise ValueError(f"{context}: images are loaded into clusters of kind, k3d, minikube or Docker Desktop only")


def connect(context: str, folder: Path) -> ExistingCluster:
    """Connect to a cluster with a kubeconfig of only that context; raise AssertionError with kubectl's stderr."""
    view = ["config", "view", "--minify", "--flatten", "--output=json"]
    kubeconfig = folder / "kubeconfig"
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(_kubectl(context, *view), encoding="utf-8")
    version = json.loads(_kubectl(context, "version", "--output=json"))["serverVersion"]["gitVersion"]
    classes = json.loads(_kubectl(context, "get", "storageclasses", "--output=json"))["items"]
    default = "storageclass.kubernetes.io/is-default-class"
    names = [item["metadata"]["name"] for item in classes if item["metadata"].get("annotations", {}).get(default)]
    return ExistingCluster(kubeconfig, version, context, storage_class=names[0] if names else "")


def _kubectl(context: str, *arguments: str) -> str:
    command = [kubectl_program(), f"--context={context}", "--request-timeout=10s", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout
