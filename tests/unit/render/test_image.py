"""How images are built, as text; tests/contract has buildx itself read it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from devai_tasks.config.load import load
from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.render import image


@pytest.fixture
def bake(shipped: Project, local_dev: Stack) -> Callable[..., dict[str, Any]]:
    """The definition for local-dev with flags."""

    def rendered(*overrides: str) -> dict[str, Any]:
        definition = json.loads(image.render(load(shipped, local_dev, overrides, environ={}))[image.FILE])
        assert isinstance(definition, dict)
        return definition

    return rendered


def test_each_stack_has_an_image_of_its_own(shipped: Project) -> None:
    stacks = [load(shipped, Stack(name, "local"), environ={}) for name in ("dev", "staging", "prod")]
    assert [image.lab(settings) for settings in stacks] == [
        "devai-lab:local-dev",
        "devai-lab:local-staging",
        "devai-lab:local-prod",
    ]


def test_a_gpu_stack_has_its_own_dockerfile_base_packages_and_name(bake: Callable[..., dict[str, Any]]) -> None:
    definition = bake("gpu.enabled=true", "image.base.gpu=cuda:1", "image.packages=minimal")
    lab = definition["target"]["lab"]
    assert lab["dockerfile"] == "Dockerfile.gpu"
    assert lab["args"]["PACKAGES"] == "gpu"
    assert lab["tags"] == ["devai-lab:local-dev-gpu"]
    assert definition["variable"]["BASE_IMAGE"]["default"] == "cuda:1"


def test_packages_and_versions_reach_the_build(bake: Callable[..., dict[str, Any]]) -> None:
    targets = bake("image.packages=full", "ollama.version=1.2.3")["target"]
    assert targets["lab"]["args"]["PACKAGES"] == "full"
    assert targets["ollama"]["args"]["OLLAMA_VERSION"] == "1.2.3"
    assert targets["ollama"]["tags"] == ["ollama/ollama:1.2.3"]


def test_every_set_of_packages_has_its_lock(shipped: Project) -> None:
    folder = shipped.root / "deploy/image/requirements"
    for packages in ("minimal", "standard", "full", "gpu"):
        assert (folder / f"{packages}.lock").is_file()
        assert (folder / f"{packages}.in").is_file()


def test_certificates_are_a_build_secret_and_nothing_where_there_are_none(bake: Callable[..., dict[str, Any]]) -> None:
    given = bake("image.ca_file=/etc/ca.crt")["target"]
    assert given["lab"]["secret"] == given["ollama"]["secret"] == ["id=ca,src=/etc/ca.crt"]
    assert "secret" not in bake("image.ca_file=")["target"]["lab"]
