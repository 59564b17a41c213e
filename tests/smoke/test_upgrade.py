"""Upgrade of a running stack of version 0.1: `up` of this version keeps all data."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import version_0_1
from harness.cli import inv
from harness.engine import docker
from harness.settings import load
from harness.stack import ComposeStack

from devai_tasks.config import image_names
from devai_tasks.config.project import Project

ENVIRONMENT = "research"
NAME = "team-lab-local-research"
DATA = {"devai": "/home/devai/results.csv", "ollama": "/models/of-version-0.1"}
"""A file in the volume of each service."""


@pytest.fixture(scope="module")
def old_stack(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[ComposeStack]:
    """A stack that was started with the Compose file of version 0.1; its project has been upgraded afterwards."""
    folder = tmp_path_factory.mktemp("upgrade")
    root, newer = folder / "lab", folder / "newer"
    version_0_1.copy_project(root)
    ports = {"8888": str(free_port()), "11434": str(free_port())}
    profile = root / "conf/profiles/research.yaml"
    with profile.open("a", encoding="utf-8") as lines:
        lines.write(f"ports: {{lab: {ports['8888']}, ollama: {ports['11434']}}}\n")
    shutil.copytree(root, newer)
    version_0_1.upgrade(newer)
    built = inv("image.build", f"--env={ENVIRONMENT}", cwd=newer)
    assert built.returncode == 0, built.stderr
    ollama = _ollama_image(newer)
    environment = root / "generated/local-research/compose/.env"
    text = environment.read_text(encoding="utf-8")
    for name, value in {
        "DEVAI_UID": str(os.getuid()),
        "DEVAI_GID": str(os.getgid()),
        "DEVAI_LAB_PORT": ports["8888"],
        "DEVAI_OLLAMA_PORT": ports["11434"],
        "DEVAI_OLLAMA_IMAGE": ollama,
    }.items():
        text = re.sub(rf"^{name}=.*$", f"{name}='{value}'", text, flags=re.MULTILINE)
    environment.write_text(text, encoding="utf-8")
    # The image is that of this version, which needs one more capability than that of 0.1 in order to drop all.
    definition = root / "deploy/compose/docker-compose.yml"
    text = definition.read_text(encoding="utf-8").replace("DAC_OVERRIDE, FOWNER]", "DAC_OVERRIDE, FOWNER, SETPCAP]")
    definition.write_text(text, encoding="utf-8")
    compose = ["docker", "compose", f"--env-file={environment.relative_to(root)}"]
    subprocess.run([*compose, "up", "--wait", "--quiet-pull"], cwd=root, check=True)
    stack = ComposeStack(Project(root), ENVIRONMENT)
    try:
        for service, file in DATA.items():
            docker("exec", f"{NAME}-{service}-1", "sh", "-c", f"echo kept >{file}")
        version_0_1.upgrade(root)
        yield stack
    finally:
        stack.inv("compose.down", "--data", f"--confirm={NAME}", "--take-over")


def _ollama_image(root: Path) -> str:
    """Return the name of the Ollama image on this machine."""
    project = Project(root)
    settings = load(project, project.stack(ENVIRONMENT, "local"))
    return image_names.ollama(settings)


def test_data_token_and_secrets_survive_the_upgrade(old_stack: ComposeStack) -> None:
    volumes, containers = _volumes(), _containers()
    refused = old_stack.inv("up")
    assert refused.returncode == 2, refused.stderr
    assert "storage.work_dir" in refused.stderr  # notebooks are in the project's folder, so the user must decide first
    assert _containers() == containers
    edited = old_stack.inv("config.set", "--set=storage.allow_unsafe_work_dir=true")
    assert edited.returncode == 0, edited.stderr
    started = old_stack.inv("up")
    assert started.returncode == 0, started.stderr
    assert "token-of-version-0-1-0123456789" in started.stdout
    assert _volumes() >= volumes
    for service, file in DATA.items():
        assert docker("exec", f"{NAME}-{service}-1", "cat", file) == "kept"
    lab = f"{NAME}-devai-1"
    assert docker("exec", lab, "ls", "/home/devai/work/analysis.ipynb")
    assert docker("exec", lab, "cat", "/run/secrets/OPENAI_API_KEY") == "key-of-version-0-1"
    assert old_stack.jupyter.execute("import os; print(os.environ['GREETING'], end='')") == "costs $5 & up"


def test_status_shows_the_owner_of_an_upgraded_stack(old_stack: ComposeStack) -> None:
    assert str(old_stack.project.root) in old_stack.inv("status").stdout


def _volumes() -> set[str]:
    return set(docker("volume", "ls", "--quiet", f"--filter=label=com.docker.compose.project={NAME}").split())


def _containers() -> str:
    return docker("ps", "--quiet", "--no-trunc", f"--filter=label=com.docker.compose.project={NAME}")
