"""A real stack: one of the tests' own, or one that runs already (`nox -s smoke -- --stack=local-dev`).

With `--in-cluster`, as `nox -s cluster` has it, the one that the tests of the cluster have brought up there.

The tests' own stack is `local-smoke`, in a project of its own, on ports of its own, for a user id that is nobody's. Its
images and its model come the way that the machine allows: pulled, or built here.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness import podman
from harness.engine import docker, transfer_image
from harness.prerequisites import skip_or_fail
from harness.stack import CANARY, UID, ComposeStack, RunningStack

from devai_tasks.config import image_names, naming
from devai_tasks.config.project import Project
from devai_tasks.engine.docker import Docker
from devai_tasks.targets.image import building
from devai_tasks.workspace import scaffold


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--stack", help="a stack that runs already, such as local-dev: looked at, and left as it is")
    parser.addoption("--in-cluster", action="store_true", help="the stack that runs in the test cluster")
    parser.addoption("--on-podman", action="store_true", help="a stack of the tests' own, on a Podman of theirs")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """A user's own stack goes through no life cycle, and gets no foreign archive."""
    ours = collection_path.name in {"test_life_cycle.py", "test_data.py"}
    return True if config.getoption("--stack") and ours else None


@pytest.fixture(scope="session", autouse=True)
def engine() -> None:
    """The engine that all of this needs."""
    ran = (
        subprocess.run(["docker", "version"], capture_output=True, text=True, check=False)
        if shutil.which("docker")
        else None
    )
    if ran is None or ran.returncode != 0:
        skip_or_fail("no container engine answers: scripts/bootstrap.sh")


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """A function that returns a port of the loopback that nothing listens on, each time another."""
    given: set[int] = set()

    def choose() -> int:
        while True:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = int(probe.getsockname()[1])
            if port not in given:
                given.add(port)
                return port

    return choose


@pytest.fixture(scope="session")
def smoke_project(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Project:
    """A fresh project with an environment `smoke`."""
    root = tmp_path_factory.mktemp("smoke") / "lab"
    scaffold.write(root)
    work = root / "work"
    if os.geteuid() == 0:
        os.chown(work, UID, UID)
    ids = f"{{uid: {UID}, gid: {UID}}}" if os.geteuid() == 0 else f"{{uid: {os.getuid()}, gid: {os.getgid()}}}"
    (root / "conf/profiles/smoke.yaml").write_text(
        "project: {name: devai-test}\n"
        f"ports: {{lab: {free_port()}, ollama: {free_port()}}}\n"
        f"engine: {ids}\n"
        "storage: {work_dir: work}\n"
        "network: {base_url: /smoke/, allowed_hosts: [lab.example.com, .proxy.example.com]}\n"
        "resources: {lab: {cpu: 1500m, memory: 1Gi}, ollama: {cpu: '2', memory: 2Gi}}\n"
        "env: {GREETING: 'costs $5 & up'}\n",
        encoding="utf-8",
    )
    return Project(root)


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Iterator[RunningStack]:
    """A running stack: the cluster's, the one that `--stack` names, or our own, which is gone afterwards."""
    if request.config.getoption("--in-cluster"):
        yield request.getfixturevalue("cluster_stack")
        return
    named = request.config.getoption("--stack")
    if named:
        cloud, _, environment = named.partition("-")
        yield ComposeStack(Project.find(), environment, cloud)
        return
    own = ComposeStack(request.getfixturevalue("smoke_project"), "smoke")
    if request.config.getoption("--on-podman"):
        with on_podman(own):
            yield from brought_up(own)
    else:
        yield from brought_up(own)


@contextmanager
def on_podman(own: ComposeStack) -> Iterator[None]:
    """A Podman that has the images that Docker builds, as whatever is started here meets it."""
    built = own.inv("image.build")
    assert built.returncode == 0, built.stderr
    with podman.podman() as socket, pytest.MonkeyPatch.context() as patch:
        ollama = image_names.ollama(building.ensure_ollama(own.project, own.settings, Docker()))
        for name in (image_names.lab(own.settings), ollama):
            transfer_image(name, [name], socket)
        override = own.project.root / "deploy/compose/docker-compose.override.yml"
        override.write_text(podman.OVERRIDE, encoding="utf-8")
        patch.setenv("DOCKER_HOST", socket)
        yield


def remove_orphans(name: str) -> None:
    """Remove what tests that were killed have left of a stack of theirs; it would belong to their folder."""
    label = f"label=com.docker.compose.project={name}"
    for found, remove in (
        (("ps", "--all", "--quiet", "--filter", label), ("rm", "--force")),
        (("volume", "ls", "--quiet", "--filter", f"name=^{name}_"), ("volume", "rm")),
        (("network", "ls", "--quiet", "--filter", label), ("network", "rm")),
    ):
        if left := docker(*found).split():
            docker(*remove, *left)


def brought_up(own: ComposeStack) -> Iterator[ComposeStack]:
    """A stack that `inv up` has brought up, until the tests are done with it."""
    remove_orphans(naming.stack(own.settings))
    started = own.inv("up", environ={"OPENAI_API_KEY": CANARY})
    try:
        if started.returncode != 0:
            pytest.fail("\n".join(["inv up failed", *started.stderr.splitlines()[-20:]]), pytrace=False)
        assert started.stdout.strip() == own.jupyter.url  # the last word, and the only one on stdout
        yield own
    finally:
        removed = own.inv("compose.down", "--data", "--confirm=devai-test-local-smoke")
        assert removed.returncode == 0, removed.stderr
