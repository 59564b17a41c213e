"""The fixtures `api_server` and `cluster`, for any test; started on first use, stopped after the last test.

With `--context=kind-dev` (or DEVAI_TEST_CONTEXT) both are an existing cluster, and nothing is started;
`--context=devai-tests` is the cluster of `nox -s cluster -- up`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from harness import debian
from harness.kubernetes import api_server as api_servers
from harness.kubernetes import cluster as clusters
from harness.kubernetes import existing, node
from harness.kubernetes.api import Cluster, Kubernetes, kubectl_program
from harness.kubernetes.certificates import CONTEXT
from harness.kubernetes.releases import NEWEST, OLDEST
from harness.prerequisites import skip_or_fail
from harness.project import fresh

if TYPE_CHECKING:
    from harness.cluster_stack import ClusterStack


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that selects an existing cluster."""
    parser.addoption(
        "--context",
        default=os.environ.get("DEVAI_TEST_CONTEXT"),
        help="context of an existing cluster, such as kind-dev; tests use separate namespaces",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests with an API server on the oldest and the newest release, or on the selected cluster."""
    if "api_server" in metafunc.fixturenames:
        context = metafunc.config.getoption("--context")
        names = [context] if context else [OLDEST.name, NEWEST.name]
        metafunc.parametrize("api_server", names, indirect=True, scope="session")


@pytest.fixture(scope="session")
def api_server(request: pytest.FixtureRequest) -> Iterator[Kubernetes]:
    """An API server with a cluster's admission, validation and storage; it may start no pods."""
    if request.config.getoption("--context"):
        yield request.getfixturevalue("cluster")
        return
    _require("openssl", kubectl_program())
    with api_servers.running(OLDEST if request.param == OLDEST.name else NEWEST) as server:
        yield server


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster that runs pods."""
    if context := request.config.getoption("--context"):
        _require(kubectl_program())
        kept = node.kept() if context == CONTEXT else None
        yield clusters.of(kept) if kept else existing.connect(context, tmp_path_factory.mktemp("context"))
        return
    if os.geteuid() != 0:
        skip_or_fail("starting a cluster needs root; use an existing one with --context=NAME")
    if shutil.which("ipset") is None:
        debian.install("ipset")
    _require(*clusters.NEEDS, kubectl_program())
    with clusters.running() as started:
        yield started


@pytest.fixture(scope="session")
def cluster_stack(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterStack]:
    """A stack that `inv k8s.apply` deployed, with images built on this machine."""
    from harness.cluster_stack import running

    with running(fresh(tmp_path_factory.mktemp("cluster") / "lab"), cluster) as stack:
        yield stack


def _require(*programs: str) -> None:
    """Skip or fail a test if programs are not installed."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        skip_or_fail(f"not installed: {', '.join(missing)}")
