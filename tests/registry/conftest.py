"""Fixtures with the lab's real image, and a real registry on loopback that `inv` pushes to and pulls from."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import engine as engines
from harness.cli import inv
from harness.registry import Registry, registry
from harness.repository import commit, committed

from devai_tasks.config.project import Project

Inv = Callable[..., subprocess.CompletedProcess[str]]
LAB = "devai-regtest-lab:local-registry"


@pytest.fixture(scope="session", autouse=True)
def engine() -> None:
    """Require a container engine."""
    engines.require_engine()


@pytest.fixture(scope="session")
def local_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry without authentication."""
    with registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory, local_registry: Registry) -> Project:
    """A committed project with an environment `registry`, which pushes images to the local registry."""
    project = committed(tmp_path_factory.mktemp("lab") / "lab")
    (project.conf / "profiles/registry.yaml").write_text(
        "project: {name: devai-regtest}\n"
        f"image: {{packages: minimal, registry: {local_registry.address}/devai, tags: [latest]}}\n",
        encoding="utf-8",
    )
    # Tokens of a cloud are sent only to the cloud's own registries; the tests of logins add loopback to these.
    with (project.root / "tasks.py").open("a", encoding="utf-8") as tasks:
        tasks.write(
            "\nfrom devai_tasks import clouds\n\n"
            "for cloud in clouds.WITH_TERRAFORM.values():\n"
            "    type(cloud).registry_hosts += r'|127\\.0\\.0\\.1:\\d+'\n"
        )
    commit(project.root)
    return project


@pytest.fixture(scope="session")
def run(lab: Project) -> Inv:
    """A function that runs a task on the stack of the environment `registry`."""

    def task(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return inv(*arguments, "--env=registry", cwd=lab.root, environ=environ)

    return task


@pytest.fixture(scope="session")
def built(run: Inv) -> Iterator[str]:
    """The name of the lab's image that `inv image.build` built."""
    result = run("image.build")
    assert result.returncode == 0, result.stderr
    yield LAB
    run("image.prune", "--yes")


@pytest.fixture(scope="session")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An incompressible file of 12 MiB."""
    file = tmp_path_factory.mktemp("noise") / "noise"
    file.write_bytes(os.urandom(12 << 20))
    return file


@pytest.fixture(scope="session")
def small(noise: Path) -> Iterator[str]:
    """A small image, for tests that do not need the lab's image."""
    noise.with_name("Dockerfile").write_text('FROM scratch\nCOPY noise /\nCMD ["none"]\n', encoding="utf-8")
    engines.docker("build", "--quiet", "--tag=devai-regtest-small", str(noise.parent))
    yield "devai-regtest-small"
    engines.docker("rmi", "--force", "devai-regtest-small", *engines.image_names("*/devai/devai-regtest-lab"))


@pytest.fixture
def stack_of(lab: Project, small: str) -> Iterator[Callable[[str, str], Inv]]:
    """A function that prepares a stack with the small image and a registry; it returns a function that runs tasks."""
    tagged = []

    def stack(name: str, registry_address: str) -> Inv:
        cloud, _, environment = name.partition("-")
        engines.docker("tag", small, f"devai-regtest-lab:{name}")
        tagged.append(f"devai-regtest-lab:{name}")
        state = lab.state(lab.stack(environment, cloud)) / "deployment.yaml"
        state.unlink(missing_ok=True)

        def task(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
            flags = (f"--env={environment}", f"--cloud={cloud}", "--set=project.name=devai-regtest")
            return inv(
                *arguments, *flags, f"--set=image.registry={registry_address}/devai", cwd=lab.root, environ=environ
            )

        return task

    yield stack
    for name in tagged:
        engines.docker("rmi", "--force", name)
