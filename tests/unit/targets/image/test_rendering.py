"""Build definition of images as text; tests/contract parses it with buildx."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from harness.settings import load

from devai_tasks.config import image_names
from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.targets.image import rendering as image
from devai_tasks.targets.image.rendering import BAKE


@pytest.fixture
def bake(shipped: Project, local_dev: Stack) -> Callable[..., dict[str, Any]]:
    """Return a function that renders the definition of local-dev with overrides."""

    def render(*overrides: str) -> dict[str, Any]:
        definition = json.loads(image.render(load(shipped, local_dev, overrides, environ={}))[BAKE])
        assert isinstance(definition, dict)
        return definition

    return render


def test_each_stack_has_its_own_image(shipped: Project) -> None:
    stacks = [load(shipped, Stack(name, "local"), environ={}) for name in ("dev", "staging", "prod")]
    assert [image_names.lab(settings) for settings in stacks] == [
        "devai-lab:local-dev",
        "devai-lab:local-staging",
        "devai-lab:local-prod",
    ]


def test_gpu_stack_has_its_own_dockerfile_base_packages_and_name(bake: Callable[..., dict[str, Any]]) -> None:
    definition = bake("gpu.enabled=true", "image.base.cuda13=cuda:1", "image.packages=minimal")
    lab = definition["target"]["lab"]
    assert lab["dockerfile"] == "Dockerfile.gpu"
    assert lab["args"]["PACKAGES"] == "cuda13"
    assert lab["tags"] == ["devai-lab:local-dev-gpu"]
    assert definition["variable"]["BASE_IMAGE"]["default"] == "cuda:1"


def test_cuda_version_selects_base_and_packages(bake: Callable[..., dict[str, Any]]) -> None:
    definition = bake("gpu.enabled=true", "image.gpu.cuda=12", "image.base.cuda12=cuda:12")
    assert definition["target"]["lab"]["args"]["PACKAGES"] == "cuda12"
    assert definition["variable"]["BASE_IMAGE"]["default"] == "cuda:12"


def test_name_of_an_image_has_its_version_and_commit(shipped: Project, local_dev: Stack) -> None:
    def names(revision: str, *overrides: str) -> tuple[str, tuple[str, ...]]:
        settings = load(shipped, local_dev, ("image.version=1.10", "image.tags=[latest]", *overrides), environ={})
        return image_names.immutable_tag(settings, revision), image_names.mutable_tags(settings)

    assert names("0123456789ab") == ("1.10-0123456789ab", ("latest",))
    assert names("0123456789ab-dirty-01234567") == ("1.10-0123456789ab-dirty-01234567", ("latest",))
    assert names("0123456789ab", "gpu.enabled=true") == ("1.10-0123456789ab-gpu", ("latest-gpu",))
    assert names("") == ("1.10", ("latest",))


def test_cache_is_the_registry_a_folder_or_an_option_of_buildkit(shipped: Project, local_dev: Stack) -> None:
    settings = load(shipped, local_dev, ("image.registry=registry.example.com/x",), environ={})
    assert image.cache(settings, "registry") == "type=registry,ref=registry.example.com/x/devai-lab:buildcache"
    assert image.cache(settings, "registry", to=True).endswith(
        "devai-lab:buildcache,mode=max,image-manifest=true,oci-mediatypes=true"
    )
    assert image.cache(settings, "/cache", to=True) == "type=local,dest=/cache,mode=max"
    assert image.cache(settings, "/cache") == "type=local,src=/cache"
    assert image.cache(settings, "type=gha") == "type=gha"


def test_packages_and_versions_are_build_arguments(bake: Callable[..., dict[str, Any]]) -> None:
    targets = bake("image.packages=full", "ollama.build_version=1.2.3")["target"]
    assert targets["lab"]["args"]["PACKAGES"] == "full"
    assert targets["ollama"]["args"]["OLLAMA_VERSION"] == "1.2.3"
    assert targets["ollama"]["tags"] == ["devai-ollama:1.2.3"]


def test_tools_and_compilers_are_build_arguments(bake: Callable[..., dict[str, Any]]) -> None:
    arguments = bake("image.tools=[codex, claude-code, codex]", "image.compilers=true")["target"]["lab"]["args"]
    assert (arguments["TOOLS"], arguments["COMPILERS"]) == ("claude-code codex", "true")
    assert bake()["target"]["lab"]["args"]["TOOLS"] == ""


def test_every_tool_has_a_lock_with_the_hash_of_every_archive(shipped: Project) -> None:
    folder = shipped.root / "deploy/image/tools"
    assert sorted(path.name for path in folder.iterdir()) == ["claude-code", "codex", "gemini-cli"]
    for tool in folder.iterdir():
        packages = json.loads((tool / "package-lock.json").read_text(encoding="utf-8"))["packages"]
        locked = [entry for name, entry in packages.items() if name]
        assert locked
        assert all(entry["integrity"].startswith("sha512-") and "resolved" not in entry for entry in locked)


def test_vector_store_and_its_client_have_the_same_version(shipped: Project) -> None:
    folder = shipped.root / "deploy/image/requirements"
    version = load(shipped, Stack("dev", "local"), environ={}).vector_store.image.rpartition(":")[2]
    for file, package in (("chroma", "chromadb"), ("standard", "chromadb-client"), ("full", "chromadb-client")):
        assert f"\n{package}=={version} " in (folder / f"{file}.lock").read_text(encoding="utf-8")


def test_every_set_of_packages_has_a_lock(shipped: Project) -> None:
    folder = shipped.root / "deploy/image/requirements"
    for packages in ("minimal", "standard", "full", "cuda13", "cuda12"):
        assert (folder / f"{packages}.lock").is_file()
        assert (folder / f"{packages}.in").is_file()


def test_ca_certificates_are_a_build_secret(bake: Callable[..., dict[str, Any]]) -> None:
    targets = bake("image.ca_file=/etc/ca.crt")["target"]
    assert targets["lab"]["secret"] == targets["ollama"]["secret"] == ["id=ca,src=/etc/ca.crt"]
    assert "secret" not in bake("image.ca_file=")["target"]["lab"]


def test_proxies_are_build_variables_and_not_part_of_the_definition(shipped: Project, local_dev: Stack) -> None:
    settings = load(shipped, local_dev, (), environ={"HTTPS_PROXY": "http://me:canary@192.0.2.9:3128"})
    text = image.render(settings)[BAKE]
    assert "canary" not in text
    for target in json.loads(text)["target"].values():
        assert target["args"]["HTTPS_PROXY"] == '${HTTPS_PROXY != "" ? HTTPS_PROXY : null}'
