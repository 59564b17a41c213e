"""Single source of truth: an edited value of conf/ changes only artifacts that it is observed to affect.

The cases are generated from the files of conf/ and from the defaults of the schema, so that a new key is tested without
a new test.
"""

from __future__ import annotations

import json
import typing
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from harness.settings import Sources

from devai_tasks.config import document, edit, reader
from devai_tasks.config.configuration import Configuration, at, dotted
from devai_tasks.config.document import Key, Tree
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.config.secrets import Secret
from devai_tasks.config.stack import Stack
from devai_tasks.config.units import Cpu, Duration, Size
from devai_tasks.stack import affected, artifacts
from devai_tasks.system.errors import ConfigError
from devai_tasks.workspace.writer import Artifacts

# Some keys affect only stacks with certain options. Each stack is tested with each option that is valid for the stack.
PLAIN = "without options"
OPTIONS: Mapping[str, tuple[str, ...]] = {
    PLAIN: (),
    "with a GPU": ("gpu.enabled=true",),
    "with an AMD GPU": ("gpu.enabled=true", "gpu.vendor=amd"),
    "on Podman with CUDA 12": ("gpu.enabled=true", "engine.name=podman", "image.gpu.cuda=12"),
    "with an external Ollama": ("ollama.mode=external", "ollama.url=http://192.0.2.7:1", "compute.replicas.max=9"),
    "behind a proxy": ("tls.proxy=true",),
}
# Texts of which at least one is valid for each text key.
TEXTS = (
    "other", "192.0.2.8", "198.18.0.0/16", "/other/", "1.2.3", "http://192.0.2.8:2", "other.example.org", "7",
    f"sha256:{'1' * 64}", "codex", "other:1",
    "otherproject1", f"other:1@sha256:{'1' * 64}",
)  # fmt: skip
SAMPLES: Mapping[Any, list[Tree]] = {
    bool: ["true", "false"], int: ["7", "2", "2048", "1"], Cpu: ["1500m"], Size: ["2Ti"], Duration: ["777s"],
}  # fmt: skip
# Values with the same effect as the default: without an engine, auto means Docker.
EQUIVALENT: Mapping[Key, Tree] = {("engine", "name"): "docker"}

Rendered = tuple[Configuration, Artifacts]


def files(conf: Path) -> list[Path]:
    return sorted(
        file for folder in ("common", "clouds", "profiles", "stacks") for file in (conf / folder).glob("*.yaml")
    )


def leaves(tree: Tree, key: Key = ()) -> Iterator[Key]:
    """Yield the keys that can be edited separately: values, whole lists, entries of maps."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            yield from leaves(value, (*key, name))
    else:
        yield key


SHIPPED = Path(__file__).parents[2] / "conf"
MAPS = sorted(reader.maps(Settings))


def common(key: Key) -> str:
    return f"conf/common/{key[0]}.yaml"


WRITTEN = [
    (file.relative_to(SHIPPED.parent).as_posix(), key)
    for file in files(SHIPPED)
    for key in leaves(document.read(file, file.name).tree)
]
# The recorded deployment of a stack. A value that differs from the configured one is an error; see
# tests/contract/terraform.
RECORDED = [("terraform", "deployed", name) for name in ("project", "account", "region", "store", "group")]
DEFAULTS = [
    (common(key), key)
    for key, entry in reader.leaves(Settings).items()
    if entry.default is not None and (common(key), key) not in WRITTEN and key not in RECORDED
]
CASES = WRITTEN + DEFAULTS


def value_of(project: Project, name: str, key: Key) -> Tree:
    """Return the value in a file, or the schema's default."""
    if (name, key) in DEFAULTS:
        return reader.leaves(Settings)[key].default
    written: Tree = at(document.read(project.root / name, name).tree, key)
    return written


def entry_of(key: Key) -> reader.Entry:
    return next(entry for path, entry in reader.leaves(Settings).items() if key[: len(path)] == path)


def other_values(key: Key, written: Tree) -> list[Tree]:
    """Return valid values of a key that differ from the written value, as text."""
    entry = entry_of(key)
    kind = reader.value_kind(entry.kind)
    if typing.get_origin(kind) is Mapping:
        kind = typing.get_args(kind)[1]
        return [{Secret: "${secret:OTHER}", int: "7"}.get(kind, "other")]
    if typing.get_origin(kind) is tuple:
        return [[next(text for text in TEXTS if not is_invalid(entry, (text,)))]]
    if typing.get_origin(kind) is typing.Literal:
        candidates = list(typing.get_args(kind))
    elif kind is str:
        candidates = [text for text in TEXTS if text != written and not is_invalid(entry, text)][:1]
    else:
        candidates = SAMPLES[kind]
    null = [None] if reader.may_be_null(entry.kind) else []
    return [text for text in [*candidates, *null] if text not in (written, EQUIVALENT.get(key))]


def is_invalid(entry: reader.Entry, value: Any) -> bool:
    return bool(entry.meta.check and entry.meta.check.refusal(value))


class Renders:
    """The rendered stacks of a project, before and after simulated edits of its files."""

    def __init__(self, project: Project) -> None:
        self.project = project
        sources = Sources(project, {})
        self._before = {
            (stack, option): self.render(sources, stack, option) for stack in project.stacks for option in OPTIONS
        }

    def before(self, stack: Stack, option: str) -> Rendered | None:
        """Return a stack with an option, rendered from the unedited files."""
        return self._before[stack, option]

    def render(self, sources: Sources, stack: Stack, option: str) -> Rendered | None:
        """Return configuration and artifacts of a stack with an option, or None if the option is invalid."""
        try:
            configuration = sources.configuration(stack, OPTIONS[option])
        except ConfigError:
            return None
        return configuration, artifacts.render(self.project, configuration.settings)

    def edited(self, name: str, key: Key, value: Tree) -> Sources:
        """Return the project's sources with another value in one file."""
        file = self.project.root / name
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        replaced = {name: edit.edited(text, [(key, value)])}
        return Sources(self.project, {}, replaced=replaced)

    def loading(self, name: str) -> list[tuple[Stack, str]]:
        """Return the stacks that load a file, with each option; for files in common/, options only in dev."""
        cases = [(stack, option) for stack in self.project.loading(name) for option in OPTIONS]
        is_common = Path(name).parts[1] == "common"
        return [case for case in cases if not is_common or case[0].environment == "dev" or case[1] == PLAIN]


@pytest.fixture(scope="module")
def renders(shipped: Project) -> Renders:
    return Renders(shipped)


def changed(before: Artifacts, after: Artifacts) -> frozenset[str]:
    return frozenset(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


@pytest.mark.parametrize(("name", "key"), CASES, ids=[f"{name}:{dotted(key)}" for name, key in CASES])
def test_edited_value_changes_only_its_affected_artifacts(renders: Renders, name: str, key: Key) -> None:
    tried, affected_files, overridden = 0, frozenset[str](), False
    for value in other_values(key, value_of(renders.project, name, key)):
        sources = renders.edited(name, key, value)
        for stack, option in renders.loading(name):
            old, new = renders.before(stack, option), renders.render(sources, stack, option)
            if not (old and new):
                continue
            tried += 1
            difference = changed(old[1], new[1])
            # A layer with higher precedence, or this option, may override the value.
            is_effective = new[0].origins(key)[0].layer == name
            expected = old[0].affected(key) | new[0].affected(key) if is_effective else frozenset()
            assert difference <= expected, f"{stack} {option}: {dotted(key)} = {value} in {name}"
            affected_files |= difference
            overridden |= not is_effective
    assert tried, "no other value is valid in any stack"
    # A default may be overridden in all stacks that use the key.
    overridden_default = overridden and (name, key) in DEFAULTS
    assert affected_files or entry_of(key).meta.tasks or overridden_default, "unused key: changes no artifact"


@pytest.mark.parametrize("key", MAPS, ids=dotted)
def test_added_map_entry_changes_only_artifacts_of_the_map(renders: Renders, key: Key) -> None:
    added, affected_files = (*key, "ADDED"), frozenset[str]()
    sources = renders.edited(common(key), added, other_values(added, None)[0])
    for stack, option in renders.loading(common(key)):
        old, new = renders.before(stack, option), renders.render(sources, stack, option)
        assert (old and new) or option != PLAIN
        if old and new:  # not every option is valid for every stack
            assert changed(old[1], new[1]) <= new[0].affected(added)
            affected_files |= changed(old[1], new[1])
    assert affected_files or entry_of(key).meta.tasks, "unused map: changes no artifact"


def test_external_ollama_url_changes_only_its_affected_artifacts(renders: Renders) -> None:
    """Test the URL separately, since a stack is only valid with an external Ollama if a URL is set."""
    option, other = "with an external Ollama", "ollama.url=http://192.0.2.8:2"
    sources = Sources(renders.project, {})
    for stack in renders.project.stacks:
        before, after = renders.before(stack, option), sources.configuration(stack, [*OPTIONS[option], other])
        assert before
        files = artifacts.render(renders.project, after.settings)
        assert frozenset() != changed(before[1], files) <= after.affected(("ollama", "url"))


def test_cases_cover_all_shipped_files(shipped: Project) -> None:
    """The wheel's copy of conf/ has the same files as the repository's."""
    assert [file.relative_to(shipped.conf) for file in files(shipped.conf)] == [
        file.relative_to(SHIPPED) for file in files(SHIPPED)
    ]
    assert len(WRITTEN) > 60
    assert len(DEFAULTS) > 20


@pytest.fixture(scope="module")
def affected_anywhere() -> Mapping[Key, Collection[str]]:
    return affected.anywhere()


@pytest.mark.parametrize("key", reader.leaves(Settings), ids=dotted)
def test_every_key_affects_an_artifact_or_documents_its_tasks(
    affected_anywhere: Mapping[Key, Collection[str]], key: Key
) -> None:
    assert affected_anywhere.get(key) or reader.leaves(Settings)[key].meta.tasks


REUSED = [
    "project.name", "ports.lab", "resources.lab.cpu", "resources.lab.memory", "network.base_url", "env.DEVAI_STACK",
    "secrets.OPENAI_API_KEY", "labels.devai.io/environment", "ollama.image", "ollama.keep_alive", "storage.home",
    "storage.models",
]  # fmt: skip


@pytest.mark.parametrize("name", REUSED)
def test_common_keys_affect_every_target(renders: Renders, name: str) -> None:
    """Test keys of image, port, CPU and memory, storage, environment, secrets, networking and labels."""
    for stack in renders.project.stacks:
        before = renders.before(stack, PLAIN)
        assert before
        configuration, rendered = before
        targets = {artifact.partition("/")[0] for artifact in configuration.affected(configuration.keys(name)[0])}
        exempt = {"image"}
        if name.startswith("secrets."):
            exempt.add("terraform")  # passed by an environment variable, in no artifact: tests/contract/terraform
        if name.startswith("storage."):
            exempt.add("compose")  # Compose's volumes have no size
        if name == "ports.lab" and "kubernetes/lab.yaml" in rendered:
            exempt.add("terraform")  # the service's port is used only inside the cluster
        assert targets >= {artifact.partition("/")[0] for artifact in rendered} - exempt, stack


def test_edited_lab_port_changes_one_line_in_compose_env(renders: Renders) -> None:
    stack = Stack("dev", "local")
    before = renders.before(stack, PLAIN)
    after = renders.render(renders.edited("conf/common/ports.yaml", ("ports", "lab"), "9000"), stack, PLAIN)
    assert before
    assert after
    old, new = (files[1]["compose/.env"].splitlines() for files in (before, after))
    assert set(new) - set(old) == {"DEVAI_LAB_PORT='9000'"}


def test_values_reach_artifacts_unchanged(shipped: Project) -> None:
    overrides = ("env.A=1.10", "labels={b: 0123}", "ports.lab=9123", "storage.work_dir=/a b/$c")
    settings = Sources(shipped, {}).configuration(Stack("dev", "local"), overrides).settings
    files = artifacts.render(shipped, settings)
    assert '"1.10"' in files["compose/docker-compose.stack.yml"]
    assert '"0123"' in files["compose/docker-compose.stack.yml"]
    assert "DEVAI_LAB_PORT='9123'" in files["compose/.env"]
    assert "DEVAI_WORK_DIR='/a b/$c'" in files["compose/.env"]
    assert isinstance(json.loads(files["image/docker-bake.json"]), Mapping)


def test_artifacts_contain_no_path_of_this_machine(shipped: Project) -> None:
    sources = Sources(shipped, {})
    for stack in shipped.stacks:
        settings = sources.configuration(stack, ("engine.uid=1000", "engine.gid=1000", "image.ca_file=")).settings
        assert str(shipped.root) not in "".join(artifacts.render(shipped, settings).values())
