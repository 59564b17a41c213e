"""Fixtures for tests of manifests on a real API server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from harness.cloud_crds import DEFINITIONS
from harness.kubernetes import crds
from harness.kubernetes.api import Kubernetes


@pytest.fixture(scope="module")
def server(api_server: Kubernetes) -> Iterator[Kubernetes]:
    """The API server with the clouds' CRDs; KUBECONFIG is set to its kubeconfig."""
    crds.install(api_server, *DEFINITIONS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(api_server.kubeconfig))
        yield api_server
