"""The fixtures `api_server` and `cluster`, for any test; started when the first test asks, stopped after the last.

With `--context=kind-dev` (or DEVAI_TEST_CONTEXT) both are a cluster that runs already, and nothing is started;
`--context=devai-tests` is the one of `nox -s cluster -- up`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from harness.kubernetes import api_server as alone
from harness.kubernetes import cluster as own
from harness.kubernetes import existing, node
from harness.kubernetes.api import Cluster, Kubernetes, kubectl_program
from harness.kubernetes.certificates import CONTEXT
from harness.kubernetes.releases import NEWEST, OLDEST
from harness.prerequisites import skip_or_fail
from harness.project import fresh

if TYPE_CHECKING:
    from harness.cluster_stack import ClusterStack


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a person name a cluster."""
    parser.addoption(
        "--context",
        default=os.environ.get("DEVAI_TEST_CONTEXT"),
        help="a cluster that runs already, such as kind-dev: tests stay in namespaces of their own",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test with an API server runs on both ends of what is supported, or on the cluster that was named."""
    if "api_server" in metafunc.fixturenames:
        context = metafunc.config.getoption("--context")
        names = [context] if context else [OLDEST.name, NEWEST.name]
        metafunc.parametrize("api_server", names, indirect=True, scope="session")


@pytest.fixture(scope="session")
def api_server(request: pytest.FixtureRequest) -> Iterator[Kubernetes]:
    """An API server that admits, validates and stores as a cluster's does; alone, it starts no pod."""
    if request.config.getoption("--context"):
        yield request.getfixturevalue("cluster")
        return
    _need("openssl", kubectl_program())
    with alone.running(OLDEST if request.param == OLDEST.name else NEWEST) as server:
        yield server


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster in which pods run."""
    if context := request.config.getoption("--context"):
        _need(kubectl_program())
        kept = node.kept() if context == CONTEXT else None
        yield own.of(kept) if kept else existing.connect(context, tmp_path_factory.mktemp("context"))
        return
    _need(*own.NEEDS, kubectl_program())
    if os.geteuid() != 0:
        skip_or_fail("a cluster of our own needs root; --context=NAME takes one that runs already")
    with own.running() as started:
        yield started


@pytest.fixture(scope="session")
def cluster_stack(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterStack]:
    """A stack that `inv k8s.apply` brought up, with its images built here and its model from the hub or a package."""
    from harness.cluster_stack import running

    with running(fresh(tmp_path_factory.mktemp("cluster") / "lab"), cluster) as stack:
        yield stack


def _need(*programs: str) -> None:
    """Name the programs that aren't here."""
    absent = [program for program in programs if shutil.which(program) is None]
    if absent:
        skip_or_fail(f"not installed: {', '.join(absent)}")
