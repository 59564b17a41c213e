"""The conf/ of a new project: each value is set once, in the expected file, and every stack is complete."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.settings import load

from devai_tasks.config import document, reader
from devai_tasks.config.document import Tree
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.config.stack import Stack

KEYS = {".".join(map(str, key)): entry for key, entry in reader.leaves(Settings).items()}


def stacks(project: Project) -> list[Stack]:
    clouds = sorted(file.stem for file in (project.conf / "clouds").glob("*.yaml"))
    environments = sorted(file.stem for file in (project.conf / "profiles").glob("*.yaml"))
    return [Stack(environment, cloud) for cloud in clouds for environment in environments]


def set_in(tree: Tree, prefix: str = "") -> Iterator[str]:
    """Yield the keys of the schema that a tree sets."""
    for name, value in tree.items() if isinstance(tree, dict) else ():
        if f"{prefix}{name}" in KEYS:
            yield f"{prefix}{name}"
        else:
            yield from set_in(value, f"{prefix}{name}.")


@pytest.fixture(scope="module")
def common(shipped: Project) -> set[str]:
    """Return the keys that are set in conf/common or in every cloud."""
    files = sorted((shipped.conf / "common").glob("*.yaml"))
    clouds = [set(set_in(document.read(file, file.name).tree)) for file in (shipped.conf / "clouds").glob("*.yaml")]
    return {key for file in files for key in set_in(document.read(file, file.name).tree)} | set.intersection(*clouds)


def test_keys_and_stacks_are_found(shipped: Project) -> None:
    assert len(KEYS) > 25
    assert {str(stack) for stack in stacks(shipped)} >= {"local-dev", "local-staging", "local-prod"}


@pytest.mark.parametrize("key", KEYS)
def test_key_has_either_a_default_or_a_value_in_conf_common(key: str, common: set[str]) -> None:
    has_default = KEYS[key].default is not None
    if key == "project.format":  # its default is the format of projects that do not record any
        assert has_default
    else:
        assert has_default != (key in common)


@pytest.mark.parametrize("key", KEYS)
def test_every_key_is_described(key: str) -> None:
    assert KEYS[key].meta.doc.endswith(".")


def test_every_shipped_stack_loads(shipped: Project) -> None:
    for stack in stacks(shipped):
        assert load(shipped, stack, environ={}).stack == stack


def test_each_file_in_conf_common_sets_the_section_of_its_name(shipped: Project) -> None:
    files = sorted((shipped.conf / "common").glob("*.yaml"))
    assert files
    for file in files:
        assert list(document.read(file, file.name).tree) == [file.stem]


def test_every_file_of_a_cloud_profile_or_stack_sets_a_key(shipped: Project) -> None:
    for folder in ("clouds", "profiles", "stacks"):
        for file in (shipped.conf / folder).glob("*.yaml"):
            assert list(set_in(document.read(file, file.name).tree)), file


def test_only_prod_is_protected(shipped: Project) -> None:
    protected = {stack.environment for stack in stacks(shipped) if load(shipped, stack, environ={}).protected}
    assert protected == {"prod"}


def test_local_stacks_share_no_port(shipped: Project) -> None:
    local = [load(shipped, stack, environ={}).ports for stack in stacks(shipped) if stack.cloud == "local"]
    all_ports = [port for ports in local for port in (ports.lab, ports.ollama)]
    assert len(all_ports) == len(set(all_ports))


def test_local_stacks_listen_only_on_the_loopback_by_default(shipped: Project) -> None:
    for stack in stacks(shipped):
        if stack.cloud == "local":
            assert load(shipped, stack, environ={}).network.bind_address == "127.0.0.1"


def test_example_file_has_the_names_of_all_secrets_and_no_value(shipped: Project) -> None:
    example = document.read(shipped.conf / "secrets.example.yaml", "example").tree
    assert sorted(example) == list(load(shipped, Stack("dev", "local"), environ={}).secrets)
    assert set(example.values()) == {""}


def test_gpu_dockerfile_links_to_the_dockerfile(shipped: Project) -> None:
    for root in (shipped.root, Path(__file__).parents[3]):
        assert (root / "Dockerfile.gpu").readlink().name == "Dockerfile"


def test_manual_build_uses_the_base_images_of_conf(shipped: Project) -> None:
    settings = load(shipped, Stack("dev", "local"), environ={})
    text = (shipped.root / "Dockerfile").read_text(encoding="utf-8")
    assert f"ARG BASE_IMAGE={settings.image.base.name}\nARG PACKAGES={settings.image.packages}\n" in text
    assert f"--build-arg BASE_IMAGE={settings.image.base.cuda13} --build-arg PACKAGES=cuda13" in text
