"""A stack of an unprivileged user on a rootless engine: Podman with keep-id, and Docker with its UID map."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import podman, rootless
from harness.engine import transfer_image
from harness.jupyter import Jupyter
from harness.project import fresh
from harness.stack import UID, ComposeStack

from devai_tasks.config import image_names
from devai_tasks.engine.docker import Docker
from devai_tasks.targets.image import building

CELL = """
import ollama, os, pathlib
pathlib.Path.home().joinpath('work/made-in-the-lab').touch()
print(ollama.list().models, os.getuid())
"""


@pytest.fixture(params=["podman", "docker"])
def rootless_engine(request: pytest.FixtureRequest) -> Iterator[tuple[str, rootless.RootlessUser]]:
    """The name of an engine, and the unprivileged user that runs the engine."""
    with rootless.rootless_user(request.param) as user:
        yield request.param, user


def test_unprivileged_user_can_run_a_lab_on_a_rootless_engine(
    stack: ComposeStack, rootless_engine: tuple[str, rootless.RootlessUser], free_port: Callable[[], int]
) -> None:
    name, user = rootless_engine
    project = fresh(user.folder / "home/lab")
    (project.root / "work").mkdir(exist_ok=True)
    (project.conf / "profiles/rootless.yaml").write_text(
        f"project: {{name: devai-test}}\nports: {{lab: {free_port()}, ollama: {free_port()}}}\n"
        # With Docker the lab's image is copied; an image with another build fingerprint would be built again.
        f"image: {{packages: {'minimal' if name == 'podman' else 'standard'}}}\n"
        "storage: {work_dir: work}\nmodels: []\n"
        "resources: {lab: {memory: 1Gi}, ollama: {memory: 2Gi}}\n",
        encoding="utf-8",
    )
    images = [stack.ollama_image]
    if name == "podman":
        override = project.root / "deploy/compose/docker-compose.override.yml"
        override.write_text(podman.OVERRIDE, encoding="utf-8")
        # Podman builds the lab's image from the base image.
        images.append(building.base_image(stack.project, stack.settings, Docker()).name)
    else:
        transfer_image(image_names.lab(stack.settings), ["devai-test-lab:local-rootless"], user.socket)
    for image in images:
        transfer_image(image, [image], user.socket)
    for path in (project.root, *project.root.rglob("*")):
        os.chown(path, UID, UID, follow_symlinks=False)

    started = user.inv("compose.up", "--env=rootless", project=project.root)
    assert started.returncode == 0, started.stderr
    assert ("COMMIT docker.io/library/devai-test-lab:local-rootless" in started.stderr) == (name == "podman")
    lab_uid = UID if name == "podman" else 0
    jupyter = Jupyter(started.stdout.strip())
    assert jupyter.status("api/status", token=False) == 403
    assert jupyter.execute(CELL).split() == ["[]", str(lab_uid)]
    assert owner(project.root / "work/made-in-the-lab") == (UID, UID)
    identity = user.inv("compose.shell", "--command=id -u", "--env=rootless", project=project.root)
    assert identity.stdout.strip() == str(lab_uid), identity.stderr
    rows = json.loads(user.inv("compose.ps", "--json", "--env=rootless", project=project.root).stdout)
    assert [(row["service"], row["state"]) for row in rows] == [("devai", "running"), ("ollama", "running")]
    removed = user.inv(
        "compose.down", "--data", "--confirm=devai-test-local-rootless", "--env=rootless", project=project.root
    )
    assert removed.returncode == 0, removed.stderr
    assert json.loads(user.inv("compose.ps", "--json", "--env=rootless", project=project.root).stdout) == []


def owner(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_uid, status.st_gid
