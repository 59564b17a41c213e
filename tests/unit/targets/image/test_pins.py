"""Third-party images pinned to digests: how pins are recorded, validated and rendered."""

from __future__ import annotations

import json

import pytest
from harness.settings import load

from devai_tasks.config import image_names
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.config.stack import Stack
from devai_tasks.engine import registry
from devai_tasks.engine.docker import Docker
from devai_tasks.engine.images import Images, Manifest
from devai_tasks.stack import artifacts
from devai_tasks.system.errors import ConfigError, DevaiError, UsageError
from devai_tasks.targets.image import building, pins

DIGEST, OTHER = (f"sha256:{digit * 64}" for digit in "12")
OLLAMA = "ollama/ollama:1.2.3"


class Registries(Images):
    """Fake of the registries: each image has the same digest, except a missing one."""

    def manifest(self, name: str) -> Manifest | None:
        """Return the manifest of an image; None for a missing one."""
        return None if "missing" in name else Manifest(DIGEST, "")


def settings(project: Project, *overrides: str, cloud: str = "local") -> Settings:
    return load(project, Stack("dev", cloud), ["ollama.version=1.2.3", *overrides], environ={})


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "answers", lambda *_, **__: True)


def test_digests_of_the_registries_are_pinned(project: Project) -> None:
    names = image_names.third_party(settings(project))
    assert {"debian:trixie-slim", OLLAMA, f"{OLLAMA}-rocm"} <= set(names)
    pins.lock(project, names, Registries())
    assert set(settings(project).pins) == {f"{name}@{DIGEST}" for name in names}
    assert image_names.ollama(settings(project)) == f"{OLLAMA}@{DIGEST}"


def test_pin_is_replaced_and_pins_of_other_images_stay(project: Project) -> None:
    (project.root / pins.PINS).write_text(f"# mine\npins:\n  - a:1@{OTHER}\n  - b:1@{OTHER}\n", encoding="utf-8")
    pins.lock(project, ["a:1"], Registries())
    text = (project.root / pins.PINS).read_text(encoding="utf-8")
    assert text == f"# mine\npins:\n  - a:1@{DIGEST}\n  - b:1@{OTHER}\n"


def test_missing_image_changes_no_pin(project: Project) -> None:
    with pytest.raises(DevaiError, match=r"has no image missing:1; no pin was changed"):
        pins.lock(project, ["a:1", "missing:1"], Registries())
    assert not (project.root / pins.PINS).exists()


def test_unreachable_registry_changes_no_pin(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "answers", lambda *_, **__: False)
    with pytest.raises(DevaiError, match="does not answer"):
        pins.lock(project, ["a:1"], Registries())
    assert settings(project).pins == ()


def test_pin_without_a_digest_is_refused_with_its_location(project: Project) -> None:
    (project.root / pins.PINS).write_text("pins:\n  - debian:trixie-slim\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"conf/common/pins.yaml:"):
        settings(project)


def test_digests_in_the_old_file_are_refused_with_the_migration(project: Project) -> None:
    (project.root / "deploy/image/bases.lock").write_text("{}", encoding="utf-8")
    with pytest.raises(UsageError, match=r"deploy/image/bases.lock is no longer used; `inv config.migrate` moves"):
        building.base_image(project, settings(project), Docker(dry=True))


@pytest.mark.parametrize("cloud", ["local", "aws", "azure", "gcp"])
def test_rendering_has_the_digests_without_querying_a_registry(
    project: Project, cloud: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("a registry was queried")

    for name in ("answers", "host"):
        monkeypatch.setattr(registry, name, fail)
    for kind in (Docker, Images):
        monkeypatch.setattr(kind, "__init__", fail)
    files = artifacts.render(project, settings(project, f"pins=[{OLLAMA}@{DIGEST}]", cloud=cloud))
    if cloud == "local":
        assert f"DEVAI_OLLAMA_IMAGE='{OLLAMA}@{DIGEST}'" in files["compose/.env"]
    else:
        variables = json.loads(files[f"terraform/{cloud}.tfvars.json"])
        assert variables["ollama"]["image"] == f"ollama/ollama@{DIGEST}"
        assert DIGEST in files.get("kubernetes/kustomization.yaml", DIGEST)
