"""Fixtures for a real stack: a temporary one, or one that runs already (`nox -s smoke -- --stack=local-dev`).

With `--in-cluster`, which `nox -s cluster` passes, the stack is the one that the cluster tests have deployed.

The temporary stack is `local-smoke`, in a temporary project and on free ports. If the tests run as root, the lab's user
ID is one that no account has. Images and the model are pulled, or built here if the machine can't pull.
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
    parser.addoption("--stack", help="a running stack, such as local-dev, which is tested but not changed")
    parser.addoption("--in-cluster", action="store_true", help="test the stack in the test cluster")
    parser.addoption("--on-podman", action="store_true", help="test a temporary stack on a temporary Podman")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Ignore tests that stop the stack or restore foreign archives into it, if `--stack` selects a user's stack."""
    changes_stack = collection_path.name in {"test_life_cycle.py", "test_data.py"}
    return True if config.getoption("--stack") and changes_stack else None


@pytest.fixture(scope="session", autouse=True)
def engine() -> None:
    """Require a container engine."""
    result = (
        subprocess.run(["docker", "version"], capture_output=True, text=True, check=False)
        if shutil.which("docker")
        else None
    )
    if result is None or result.returncode != 0:
        skip_or_fail("no container engine answers: scripts/bootstrap.sh")


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """A function that returns a free port of the loopback interface, and no port twice."""
    returned: set[int] = set()

    def choose() -> int:
        while True:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = int(probe.getsockname()[1])
            if port not in returned:
                returned.add(port)
                return port

    return choose


@pytest.fixture(scope="session")
def smoke_project(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Project:
    """A new project with an environment `smoke`."""
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
    """A running stack: the cluster's, the one that `--stack` names, or a temporary one, which is removed afterwards."""
    if request.config.getoption("--in-cluster"):
        yield request.getfixturevalue("cluster_stack")
        return
    named = request.config.getoption("--stack")
    if named:
        cloud, _, environment = named.partition("-")
        yield ComposeStack(Project.find(), environment, cloud)
        return
    temporary_stack = ComposeStack(request.getfixturevalue("smoke_project"), "smoke")
    if request.config.getoption("--on-podman"):
        with on_podman(temporary_stack):
            yield from started(temporary_stack)
    else:
        yield from started(temporary_stack)


@contextmanager
def on_podman(stack: ComposeStack) -> Iterator[None]:
    """Run Podman with the stack's images, which Docker builds; DOCKER_HOST makes all programs use this Podman."""
    built = stack.inv("image.build")
    assert built.returncode == 0, built.stderr
    with podman.podman() as socket, pytest.MonkeyPatch.context() as patch:
        ollama = image_names.ollama(building.ensure_ollama(stack.project, stack.settings, Docker()))
        for name in (image_names.lab(stack.settings), ollama):
            transfer_image(name, [name], socket)
        override = stack.project.root / "deploy/compose/docker-compose.override.yml"
        override.write_text(podman.OVERRIDE, encoding="utf-8")
        patch.setenv("DOCKER_HOST", socket)
        yield


def remove_orphans(name: str) -> None:
    """Remove the parts of a stack that a killed test run has left: they belong to the folder of that run."""
    label = f"label=com.docker.compose.project={name}"
    for list_command, remove_command in (
        (("ps", "--all", "--quiet", "--filter", label), ("rm", "--force")),
        (("volume", "ls", "--quiet", "--filter", f"name=^{name}_"), ("volume", "rm")),
        (("network", "ls", "--quiet", "--filter", label), ("network", "rm")),
    ):
        if orphans := docker(*list_command).split():
            docker(*remove_command, *orphans)


def started(stack: ComposeStack) -> Iterator[ComposeStack]:
    """Start a stack with `inv up`, and remove the stack after the tests."""
    remove_orphans(naming.stack(stack.settings))
    up = stack.inv("up", environ={"OPENAI_API_KEY": CANARY})
    try:
        if up.returncode != 0:
            pytest.fail("\n".join(["inv up failed", *up.stderr.splitlines()[-20:]]), pytrace=False)
        assert up.stdout.strip() == stack.jupyter.url  # the address is the only output on stdout
        yield stack
    finally:
        removed = stack.inv("compose.down", "--data", "--confirm=devai-test-local-smoke")
        assert removed.returncode == 0, removed.stderr
