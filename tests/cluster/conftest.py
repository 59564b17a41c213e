"""Fixtures for tests of manifests on a real API server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from harness.cloud_crds import DEFINITIONS
from harness.kubernetes import crds
from harness.kubernetes.api import Kubernetes


@pytest.fixture(scope="module")
def server(api_server: Kubernetes) -> Iterator[Kubernetes]:
    """The API server as kubectl's own environment names it, with the kinds that clouds bring."""
    crds.install(api_server, *DEFINITIONS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(api_server.kubeconfig))
        yield api_server
