"""A stack of somebody who isn't root, on an engine that isn't either: Podman's keep-id, and Docker's map."""

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
def own(request: pytest.FixtureRequest) -> Iterator[tuple[str, rootless.RootlessUser]]:
    with rootless.rootless_user(request.param) as person:
        yield request.param, person


def test_a_person_without_root_has_a_lab(
    stack: ComposeStack, own: tuple[str, rootless.RootlessUser], free_port: Callable[[], int]
) -> None:
    name, person = own
    project = fresh(person.folder / "home/lab")
    (project.root / "work").mkdir(exist_ok=True)
    (project.conf / "profiles/rootless.yaml").write_text(
        f"project: {{name: devai-test}}\nports: {{lab: {free_port()}, ollama: {free_port()}}}\n"
        # An image of other inputs than the given one would be built again.
        f"image: {{packages: {'minimal' if name == 'podman' else 'standard'}}}\n"
        "storage: {work_dir: work}\nmodels: []\n"
        "resources: {lab: {memory: 1Gi}, ollama: {memory: 2Gi}}\n",
        encoding="utf-8",
    )
    given = [stack.ollama_image]
    if name == "podman":
        override = project.root / "deploy/compose/docker-compose.override.yml"
        override.write_text(podman.OVERRIDE, encoding="utf-8")
        given.append(building.base_image(stack.project, stack.settings, Docker()).name)  # it builds the lab itself
    else:
        transfer_image(image_names.lab(stack.settings), ["devai-test-lab:local-rootless"], person.socket)
    for each in given:
        transfer_image(each, [each], person.socket)
    for path in (project.root, *project.root.rglob("*")):
        os.chown(path, UID, UID, follow_symlinks=False)

    started = person.inv("compose.up", "--env=rootless", project=project.root)
    assert started.returncode == 0, started.stderr
    assert ("COMMIT docker.io/library/devai-test-lab:local-rootless" in started.stderr) == (name == "podman")
    inside = UID if name == "podman" else 0
    jupyter = Jupyter(started.stdout.strip())
    assert jupyter.status("api/status", token=False) == 403
    assert jupyter.execute(CELL).split() == ["[]", str(inside)]
    assert owner(project.root / "work/made-in-the-lab") == (UID, UID)
    identity = person.inv("compose.shell", "--command=id -u", "--env=rootless", project=project.root)
    assert identity.stdout.strip() == str(inside), identity.stderr
    rows = json.loads(person.inv("compose.ps", "--json", "--env=rootless", project=project.root).stdout)
    assert [(row["service"], row["state"]) for row in rows] == [("devai", "running"), ("ollama", "running")]
    removed = person.inv(
        "compose.down", "--data", "--confirm=devai-test-local-rootless", "--env=rootless", project=project.root
    )
    assert removed.returncode == 0, removed.stderr
    assert json.loads(person.inv("compose.ps", "--json", "--env=rootless", project=project.root).stdout) == []


def owner(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_uid, found.st_gid
