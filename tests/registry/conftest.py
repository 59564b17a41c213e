"""The lab's real image and a real registry on the loopback, which `inv` pushes to and pulls from."""

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
    """The engine that all of this needs."""
    engines.require_engine()


@pytest.fixture(scope="session")
def local_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that lets everybody in."""
    with registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory, local_registry: Registry) -> Project:
    """A project with an environment `registry`, whose images go to that registry; committed."""
    project = committed(tmp_path_factory.mktemp("lab") / "lab")
    (project.conf / "profiles/registry.yaml").write_text(
        "project: {name: devai-regtest}\n"
        f"image: {{packages: minimal, registry: {local_registry.address}/devai, tags: [latest]}}\n",
        encoding="utf-8",
    )
    # A cloud's token goes to its own registries only; for the tests of logins this address is one.
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
    """A task on the stack of that environment."""

    def task(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return inv(*words, "--env=registry", cwd=lab.root, environ=environ)

    return task


@pytest.fixture(scope="session")
def built(run: Inv) -> Iterator[str]:
    """The lab's image, built by `inv image.build`; its name in the engine."""
    done = run("image.build")
    assert done.returncode == 0, done.stderr
    yield LAB
    run("image.prune", "--yes")


@pytest.fixture(scope="session")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of some megabytes that nothing compresses."""
    file = tmp_path_factory.mktemp("noise") / "noise"
    file.write_bytes(os.urandom(12 << 20))
    return file


@pytest.fixture(scope="session")
def small(noise: Path) -> Iterator[str]:
    """A small image, for what isn't about the lab's own."""
    noise.with_name("Dockerfile").write_text('FROM scratch\nCOPY noise /\nCMD ["none"]\n', encoding="utf-8")
    engines.docker("build", "--quiet", "--tag=devai-regtest-small", str(noise.parent))
    yield "devai-regtest-small"
    engines.docker("rmi", "--force", "devai-regtest-small", *engines.image_names("*/devai/devai-regtest-lab"))


@pytest.fixture
def stack_of(lab: Project, small: str) -> Iterator[Callable[[str, str], Inv]]:
    """A function that gives a stack the small image and a registry; what that returns runs tasks on the stack."""
    tagged = []

    def stack(name: str, registry_address: str) -> Inv:
        cloud, _, environment = name.partition("-")
        engines.docker("tag", small, f"devai-regtest-lab:{name}")
        tagged.append(f"devai-regtest-lab:{name}")
        state = lab.state(lab.stack(environment, cloud)) / "deployment.yaml"
        state.unlink(missing_ok=True)

        def task(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
            flags = (f"--env={environment}", f"--cloud={cloud}", "--set=project.name=devai-regtest")
            return inv(*words, *flags, f"--set=image.registry={registry_address}/devai", cwd=lab.root, environ=environ)

        return task

    yield stack
    for name in tagged:
        engines.docker("rmi", "--force", name)
