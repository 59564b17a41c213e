"""Tests on an existing cluster, which is selected by its kubectl context."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness.kubernetes import existing
from harness.kubernetes.api import Cluster


def test_context_is_sufficient_to_connect_to_a_cluster(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    connected = existing.connect(cluster.context, tmp_path)
    assert (connected.version, connected.storage_class) == (cluster.version, cluster.storage_class)
    assert connected.get("nodes")["items"]
    assert connected.kubeconfig.stat().st_mode & 0o77 == 0  # the file contains a private key


def test_unknown_context_is_reported(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    with pytest.raises(AssertionError, match="kind-unknown"):
        existing.connect("kind-unknown", tmp_path)


@pytest.mark.parametrize(
    ("context", "command"),
    [
        ("kind-dev", ["kind", "load", "docker-image", "lab:1", "--name=dev"]),
        ("k3d-my-lab", ["k3d", "image", "import", "lab:1", "--cluster=my-lab"]),
        ("minikube", ["minikube", "image", "load", "lab:1", "--profile=minikube"]),
        ("docker-desktop", []),
    ],
)
def test_image_is_loaded_with_the_program_that_created_the_cluster(context: str, command: list[str]) -> None:
    """Only the commands are tested: kind, k3d and minikube need node images, which not every machine can pull."""
    assert existing.load_command(context, "lab:1") == command


def test_loading_an_image_into_a_remote_cluster_is_refused() -> None:
    with pytest.raises(ValueError, match="gke_lab: images are loaded into clusters of kind"):
        existing.load_command("gke_lab", "lab:1")
