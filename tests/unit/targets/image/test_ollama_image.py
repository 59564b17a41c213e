"""Image of Ollama: the official image, or a local build with its own name and version."""

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
    """Fake of an engine with some images: records pulls and builds."""

    def __init__(self, *present: str) -> None:
        super().__init__()
        self.present = {BASE, *present}
        self.calls: list[str] = []

    def has_image(self, name: str) -> bool:
        """Whether the image was present at first, or was pulled or built since."""
        return name in self.present

    def pull(self, image: str) -> None:
        """Record the call."""
        self.calls.append(f"pull {image}")
        self.present.add(image)

    def bake(
        self, definition: Path, target: str, variables: object, settings: object = None, hidden: object = None
    ) -> None:
        """Record the call."""
        del definition, variables, settings, hidden
        self.calls.append(f"build {target}")
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
def test_local_build_has_its_own_name_and_version(project: Project) -> None:
    engine = Engine()
    resolved = building.ensure_ollama(project, settings(project), engine)
    assert image_names.ollama(resolved) == BUILT
    assert engine.calls == ["build ollama"]


@pytest.mark.usefixtures("offline")
def test_local_build_is_recorded_for_later_tasks(project: Project) -> None:
    building.ensure_ollama(project, settings(project), Engine())
    recorded = settings(project)
    assert f"DEVAI_OLLAMA_IMAGE='{BUILT}'" in compose.render(recorded)["compose/.env"]
    kustomization = yaml.safe_load(rendering.render(recorded)["kubernetes/kustomization.yaml"])
    expected = {"name": "ollama/ollama", "newName": "devai-ollama", "newTag": "4.5.6"}
    assert expected in kustomization["images"]


@pytest.mark.usefixtures("offline")
def test_existing_local_build_is_not_repeated(project: Project) -> None:
    engine = Engine(BUILT)
    assert image_names.ollama(building.ensure_ollama(project, settings(project), engine)) == BUILT
    assert engine.calls == []


@pytest.mark.usefixtures("online")
def test_reachable_registry_replaces_the_local_build(project: Project) -> None:
    before = settings(project, f"ollama.built={BUILT}")
    engine = Engine(BUILT)
    assert image_names.ollama(building.ensure_ollama(project, before, engine)) == OFFICIAL
    assert engine.calls == [f"pull {OFFICIAL}"]
    assert image_names.ollama(settings(project)) == OFFICIAL


@pytest.mark.usefixtures("offline")
def test_existing_official_image_is_used(project: Project) -> None:
    engine = Engine(OFFICIAL, BUILT)
    assert image_names.ollama(building.ensure_ollama(project, settings(project), engine)) == OFFICIAL
    assert engine.calls == []


@pytest.mark.usefixtures("offline")
def test_other_version_of_the_local_build_is_rebuilt(project: Project) -> None:
    engine = Engine("devai-ollama:4.5.5")
    recorded = settings(project, "ollama.built=devai-ollama:4.5.5")
    assert image_names.ollama(building.ensure_ollama(project, recorded, engine)) == BUILT
    assert engine.calls == ["build ollama"]
