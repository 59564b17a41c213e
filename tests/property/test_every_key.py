"""One source: every key of the schema reaches the artefacts that it is about, and no others."""

from __future__ import annotations

import dataclasses
import functools
import json
import typing
from collections.abc import Mapping
from typing import Any

import pytest
from harness.project import fresh

from devai_tasks.config import reader
from devai_tasks.config.load import load
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.config.stack import Stack
from devai_tasks.config.units import Cpu, Duration, Size
from devai_tasks.errors import ConfigError
from devai_tasks.operations import artefacts
from devai_tasks.render import Artefacts

KEYS = {".".join(map(str, key)): (kind, field) for key, kind, field in reader.leaves(Settings)}

# Keys that decide what tasks do, and stand in no text. A key that does reach an artefact must not be here.
REACH_NO_ARTEFACT = {
    "protected": "what tasks ask before they go on, and which layers are read",
    "image.base.source": "the way to a base image; its name is given to the build when it is known",
    "ollama.source": "the way to Ollama's image",
    "ollama.packages": "the way to a model where the hub can't be reached",
    "models": "given to a running Ollama, which keeps them",
}

# Some keys are about one kind of stack only.
STACKS = {
    "a stack": (),
    "a stack with a GPU": ("gpu.enabled=true",),
    "a stack with an Ollama elsewhere": ("ollama.mode=external", "ollama.url=http://192.0.2.7:1"),
}

DOTENV, STACK_FILE, BAKE = "compose/.env", "compose/docker-compose.stack.yml", "image/docker-bake.json"
# What a key changes, over all of STACKS: one file for nearly every key; these are about more than one.
REACH_SEVERAL = {
    "project.name": {DOTENV, STACK_FILE, BAKE},  # it is in every name
    "gpu.enabled": {DOTENV, BAKE},
    "ollama.image": {DOTENV, BAKE},  # run by one, tagged by the other
    "ollama.version": {DOTENV, BAKE},  # it is in the image's tag
    "ollama.mode": {DOTENV, STACK_FILE},  # whether there is a service
}
ONE_FILE = ({DOTENV}, {STACK_FILE}, {BAKE})
ALMOST_ANYTHING = ("other", "other:1", "192.0.2.8", "/other/", "1.2.3", "http://192.0.2.8:2", "7")


def other(kind: Any, field: dataclasses.Field[Any], present: Any) -> list[str]:
    """Other values that the key may have, as they are typed."""
    check = field.metadata["check"]
    if kind is bool:
        return [str(not present).lower()]
    if kind is int:
        return [str(present + 1)]
    if typing.get_origin(kind) is typing.Literal:
        return [choice for choice in typing.get_args(kind) if choice != present]
    quantities = {Cpu: "250m", Size: "777Mi", Duration: "777s"}
    if kind in quantities:
        return [quantities[kind]]
    if kind is str:
        return [text for text in ALMOST_ANYTHING if text != present and not (check and check(text))][:1]
    return ["[OTHER]" if typing.get_origin(kind) is tuple else "{OTHER: text}"]


def settings_of(project: Project, *overrides: str) -> Settings:
    return load(project, Stack("dev", "local"), overrides, environ={})


def edited(project: Project, key: str, text: str, *overrides: str) -> Settings:
    """The settings when the stack's own file gives a key a value."""
    file = project.conf / "stacks" / "local-dev.yaml"
    # {section: {key: text}}, in flow style as on the command line
    file.write_text(
        "".join(f"{{{part}: " for part in key.split(".")) + text + "}" * len(key.split(".")), encoding="utf-8"
    )
    try:
        return settings_of(project, *overrides)
    finally:
        file.unlink()


def at(settings: Settings, key: str) -> Any:
    return functools.reduce(getattr, key.split("."), settings)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose files this module edits."""
    return fresh(tmp_path_factory.mktemp("own") / "lab")


@pytest.fixture(scope="module")
def unchanged(shipped: Project) -> dict[str, tuple[Settings, Artefacts]]:
    """Settings and artefacts of each kind of stack."""
    loaded = {name: settings_of(shipped, *flags) for name, flags in STACKS.items()}
    return {name: (settings, artefacts.render(shipped, settings)) for name, settings in loaded.items()}


@pytest.mark.parametrize("key", KEYS)
def test_a_key_reaches_the_artefacts_that_it_is_about_and_no_others(
    own: Project, unchanged: dict[str, tuple[Settings, Artefacts]], key: str
) -> None:
    tried, files = 0, set()
    for stack, (settings, before) in unchanged.items():
        for text in other(*KEYS[key], at(settings, key)):
            try:
                changed = edited(own, key, text, *(flag for flag in STACKS[stack] if not flag.startswith(f"{key}=")))
            except ConfigError:  # this kind of stack can't have it
                continue
            after = artefacts.render(own, changed)
            files |= {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
            tried += 1
    assert tried
    if key in REACH_NO_ARTEFACT:
        assert files == set()
    elif key in REACH_SEVERAL:
        assert files == REACH_SEVERAL[key]
    else:
        assert files in ONE_FILE, f"{key} changes {files or 'nothing'}"


def test_the_exceptions_are_keys_of_the_schema() -> None:
    assert set(KEYS) >= REACH_NO_ARTEFACT.keys() | REACH_SEVERAL.keys()
    assert not REACH_NO_ARTEFACT.keys() & REACH_SEVERAL.keys()


def test_editing_the_labs_port_changes_the_environment_file_only(
    shipped: Project, unchanged: dict[str, tuple[Settings, Artefacts]]
) -> None:
    before, after = unchanged["a stack"][1], artefacts.render(shipped, settings_of(shipped, "ports.lab=9000"))
    assert [name for name in before if before[name] != after[name]] == [DOTENV]
    old, new = (files[DOTENV].splitlines() for files in (before, after))
    assert set(new) - set(old) == {"DEVAI_LAB_PORT='9000'"}


def test_a_value_arrives_as_it_was_written(shipped: Project) -> None:
    files = artefacts.render(
        shipped, settings_of(shipped, "env.A=1.10", "labels={b: 0123}", "ports.lab=9123", "storage.work_dir=/a b/$c")
    )
    assert '"1.10"' in files[STACK_FILE]
    assert '"0123"' in files[STACK_FILE]
    assert "DEVAI_LAB_PORT='9123'" in files[DOTENV]
    assert "DEVAI_WORK_DIR='/a b/$c'" in files[DOTENV]
    assert isinstance(json.loads(files[BAKE]), Mapping)


def test_no_artefact_names_this_machine(shipped: Project) -> None:
    settings = ("engine.uid=1000", "engine.gid=1000", "image.ca_file=")
    text = "".join(artefacts.render(shipped, settings_of(shipped, *settings)).values())
    assert str(shipped.root) not in text
