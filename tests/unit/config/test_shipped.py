"""What the project ships in conf/: each value once, each where people look for it, and a whole for every stack."""

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
    """The keys of the schema that a tree gives a value."""
    for name, value in tree.items() if isinstance(tree, dict) else ():
        if f"{prefix}{name}" in KEYS:
            yield f"{prefix}{name}"
        else:
            yield from set_in(value, f"{prefix}{name}.")


@pytest.fixture(scope="module")
def common(shipped: Project) -> set[str]:
    """The keys that conf/common, or else every cloud, gives a value."""
    files = sorted((shipped.conf / "common").glob("*.yaml"))
    clouds = [set(set_in(document.read(file, file.name).tree)) for file in (shipped.conf / "clouds").glob("*.yaml")]
    return {key for file in files for key in set_in(document.read(file, file.name).tree)} | set.intersection(*clouds)


def test_there_are_keys_and_stacks_to_look_at(shipped: Project) -> None:
    assert len(KEYS) > 25
    assert {str(stack) for stack in stacks(shipped)} >= {"local-dev", "local-staging", "local-prod"}


@pytest.mark.parametrize("key", KEYS)
def test_a_key_has_its_value_as_a_default_or_in_conf_common_and_never_in_both(key: str, common: set[str]) -> None:
    has_default = KEYS[key].default is not None
    if key == "project.format":  # its default is the format of projects that do not record any
        assert has_default
    else:
        assert has_default != (key in common)


@pytest.mark.parametrize("key", KEYS)
def test_a_key_says_what_it_is_for(key: str) -> None:
    assert KEYS[key].meta.doc.endswith(".")


def test_every_shipped_stack_loads(shipped: Project) -> None:
    for stack in stacks(shipped):
        assert load(shipped, stack, environ={}).stack == stack


def test_each_file_of_conf_common_holds_the_section_that_it_is_named_after(shipped: Project) -> None:
    files = sorted((shipped.conf / "common").glob("*.yaml"))
    assert files
    for file in files:
        assert list(document.read(file, file.name).tree) == [file.stem]


def test_every_file_of_a_cloud_a_profile_or_a_stack_sets_something(shipped: Project) -> None:
    for folder in ("clouds", "profiles", "stacks"):
        for file in (shipped.conf / folder).glob("*.yaml"):
            assert list(set_in(document.read(file, file.name).tree)), file


def test_prod_is_protected_and_the_others_are_not(shipped: Project) -> None:
    protected = {stack.environment for stack in stacks(shipped) if load(shipped, stack, environ={}).protected}
    assert protected == {"prod"}


def test_stacks_of_one_machine_share_no_port(shipped: Project) -> None:
    local = [load(shipped, stack, environ={}).ports for stack in stacks(shipped) if stack.cloud == "local"]
    taken = [port for ports in local for port in (ports.lab, ports.ollama)]
    assert len(taken) == len(set(taken))


def test_nothing_is_published_beyond_this_machine_unless_somebody_asks_for_it(shipped: Project) -> None:
    for stack in stacks(shipped):
        if stack.cloud == "local":
            assert load(shipped, stack, environ={}).network.bind_address == "127.0.0.1"


def test_the_example_of_secrets_names_those_that_the_lab_gets_and_no_value(shipped: Project) -> None:
    example = document.read(shipped.conf / "secrets.example.yaml", "example").tree
    assert sorted(example) == list(load(shipped, Stack("dev", "local"), environ={}).secrets)
    assert set(example.values()) == {""}


def test_both_dockerfiles_are_one(shipped: Project) -> None:
    for root in (shipped.root, Path(__file__).parents[3]):
        assert (root / "Dockerfile.gpu").readlink().name == "Dockerfile"


def test_the_dockerfile_builds_by_hand_on_what_conf_names(shipped: Project) -> None:
    settings = load(shipped, Stack("dev", "local"), environ={})
    text = (shipped.root / "Dockerfile").read_text(encoding="utf-8")
    assert f"ARG BASE_IMAGE={settings.image.base.name}\nARG PACKAGES={settings.image.packages}\n" in text
    assert f"--build-arg BASE_IMAGE={settings.image.base.cuda13} --build-arg PACKAGES=cuda13" in text
