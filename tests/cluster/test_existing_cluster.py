"""A cluster that somebody runs already, by its context."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness.kubernetes import existing
from harness.kubernetes.api import Cluster


def test_a_context_is_enough_to_reach_a_cluster(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    reached = existing.connect(cluster.context, tmp_path)
    assert (reached.version, reached.storage_class) == (cluster.version, cluster.storage_class)
    assert reached.get("nodes")["items"]
    assert reached.kubeconfig.stat().st_mode & 0o77 == 0  # it has a key in it


def test_an_unknown_context_is_named(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    with pytest.raises(AssertionError, match="kind-nobodys"):
        existing.connect("kind-nobodys", tmp_path)


@pytest.mark.parametrize(
    ("context", "command"),
    [
        ("kind-dev", ["kind", "load", "docker-image", "lab:1", "--name=dev"]),
        ("k3d-my-lab", ["k3d", "image", "import", "lab:1", "--cluster=my-lab"]),
        ("minikube", ["minikube", "image", "load", "lab:1", "--profile=minikube"]),
        ("docker-desktop", []),
    ],
)
def test_an_image_is_loaded_in_the_way_of_the_program_that_made_the_cluster(context: str, command: list[str]) -> None:
    """Their commands only: kind, k3d and minikube start from images, which not every machine can pull."""
    assert existing.load_command(context, "lab:1") == command


def test_images_are_for_local_clusters() -> None:
    with pytest.raises(ValueError, match="gke_lab: images are loaded into clusters of kind"):
        existing.load_command("gke_lab", "lab:1")
