"""Which Ollama a stack runs: the official image, or a local build of another version, and under which name."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from harness.settings import load

from devai_tasks.config import image_names
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.config.stack import Stack
from devai_tasks.engine import registry
from devai_tasks.engine.docker import Docker
from devai_tasks.targets.compose import rendering as compose
from devai_tasks.targets.image import building
from devai_tasks.targets.kubernetes import rendering

LOCAL_DEV = Stack("dev", "local")
OFFICIAL, BUILT = "ollama/ollama:1.2.3", "devai-ollama:4.5.6"
VERSIONS = ("ollama.version=1.2.3", "ollama.build_version=4.5.6")
BASE = "devai-base:trixie"


class Engine(Docker):
    """Stands in for an engine that has some images: notes what it pulls and builds."""

    def __init__(self, *present: str) -> None:
        super().__init__()
        self.present = {BASE, *present}
        self.done: list[str] = []

    def has_image(self, name: str) -> bool:
        """One of those, or made since."""
        return name in self.present

    def pull(self, image: str) -> None:
        """Note it."""
        self.done.append(f"pull {image}")
        self.present.add(image)

    def bake(
        self, definition: Path, target: str, variables: object, settings: object = None, hidden: object = None
    ) -> None:
        """Note it."""
        del definition, variables, settings, hidden
        self.done.append(f"build {target}")
        self.present.add(BUILT)


def settings(project: Project, *overrides: str) -> Settings:
    return load(project, LOCAL_DEV, [*VERSIONS, *overrides], environ={})


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "answers", lambda *_, **__: False)


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "answers", lambda *_, **__: True)


@pytest.mark.usefixtures("offline")
def test_a_local_build_has_a_name_and_a_version_of_its_own(project: Project) -> None:
    engine = Engine()
    provided = building.ensure_ollama(project, settings(project), engine)
    assert image_names.ollama(provided) == BUILT
    assert engine.done == ["build ollama"]


@pytest.mark.usefixtures("offline")
def test_a_local_build_is_noted_for_the_tasks_that_follow(project: Project) -> None:
    building.ensure_ollama(project, settings(project), Engine())
    noted = settings(project)
    assert f"DEVAI_OLLAMA_IMAGE='{BUILT}'" in compose.render(noted)["compose/.env"]
    kustomization = yaml.safe_load(rendering.render(noted)["kubernetes/kustomization.yaml"])
    wanted = {"name": "ollama/ollama", "newName": "devai-ollama", "newTag": "4.5.6"}
    assert wanted in kustomization["images"]


@pytest.mark.usefixtures("offline")
def test_a_local_build_that_is_present_is_not_built_again(project: Project) -> None:
    engine = Engine(BUILT)
    assert image_names.ollama(building.ensure_ollama(project, settings(project), engine)) == BUILT
    assert engine.done == []


@pytest.mark.usefixtures("online")
def test_a_registry_that_answers_again_replaces_the_local_build(project: Project) -> None:
    before = settings(project, f"ollama.built={BUILT}")
    engine = Engine(BUILT)
    assert image_names.ollama(building.ensure_ollama(project, before, engine)) == OFFICIAL
    assert engine.done == [f"pull {OFFICIAL}"]
    assert image_names.ollama(settings(project)) == OFFICIAL


@pytest.mark.usefixtures("offline")
def test_the_official_image_that_is_present_runs(project: Project) -> None:
    engine = Engine(OFFICIAL, BUILT)
    assert image_names.ollama(building.ensure_ollama(project, settings(project), engine)) == OFFICIAL
    assert engine.done == []


@pytest.mark.usefixtures("offline")
def test_another_version_of_the_local_build_is_built(project: Project) -> None:
    engine = Engine("devai-ollama:4.5.5")
    noted = settings(project, "ollama.built=devai-ollama:4.5.5")
    assert image_names.ollama(building.ensure_ollama(project, noted, engine)) == BUILT
    assert engine.done == ["build ollama"]
