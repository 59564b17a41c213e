"""Fixtures for tests on a real API server or a cluster."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from harness.cloud_crds import DEFINITIONS
from harness.kubernetes import crds, images
from harness.kubernetes.api import Cluster, Kubernetes
from harness.kubernetes.releases import TEST_POD
from harness.stack import docker

TEST_POD_IMAGE = "devai.invalid/test-pod:test"


@pytest.fixture(scope="module")
def server(api_server: Kubernetes) -> Iterator[Kubernetes]:
    """The API server with the clouds' CRDs; KUBECONFIG is set to its kubeconfig."""
    crds.install(api_server, *DEFINITIONS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(api_server.kubeconfig))
        yield api_server


@pytest.fixture(scope="session")
def pod_image(cluster: Cluster) -> Iterator[str]:
    """An image of the local engine that has been loaded into the cluster."""
    archive = images.single_program(TEST_POD_IMAGE, TEST_POD.programs() / "test_pod")
    subprocess.run(["docker", "load"], input=archive, check=True, capture_output=True)
    cluster.load_image(TEST_POD_IMAGE)
    yield TEST_POD_IMAGE
    docker("image", "rm", TEST_POD_IMAGE)
