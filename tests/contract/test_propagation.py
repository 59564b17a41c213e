"""One source: every value in every file of conf/ changes artifacts that it is observed to affect, and no others.

The cases are the files themselves, and what has its value from the schema alone as if it stood in a file: whoever adds
a key has a test of it.
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

# Some keys are about one kind of stack only: each stack is looked at in all of these forms, where it can have them.
PLAIN = "as it is"
FORMS: Mapping[str, tuple[str, ...]] = {
    PLAIN: (),
    "with a GPU": ("gpu.enabled=true",),
    "with AMD's": ("gpu.enabled=true", "gpu.vendor=amd"),
    "on Podman, with CUDA 12": ("gpu.enabled=true", "engine.name=podman", "image.gpu.cuda=12"),
    "with an Ollama elsewhere": ("ollama.mode=external", "ollama.url=http://192.0.2.7:1", "compute.replicas.max=9"),
    "behind a proxy": ("tls.proxy=true",),
}
# Some value of nearly every text that a key may want.
ALMOST_ANYTHING = (
    "other", "192.0.2.8", "198.18.0.0/16", "/other/", "1.2.3", "http://192.0.2.8:2", "other.example.org", "7",
    f"sha256:{'1' * 64}", "codex", "other:1",
    "otherproject1", f"other:1@sha256:{'1' * 64}",
)  # fmt: skip
SOME: Mapping[Any, list[Tree]] = {
    bool: ["true", "false"], int: ["7", "2", "2048"], Cpu: ["1500m"], Size: ["2Ti"], Duration: ["777s"],
}  # fmt: skip
# What is so anyway, by another name: without an engine to ask, auto means Docker.
SAME: Mapping[Key, Tree] = {("engine", "name"): "docker"}

Rendered = tuple[Configuration, Artifacts]


def files(conf: Path) -> list[Path]:
    return sorted(
        file for folder in ("common", "clouds", "profiles", "stacks") for file in (conf / folder).glob("*.yaml")
    )


def leaves(tree: Tree, key: Key = ()) -> Iterator[Key]:
    """What can be edited alone: values, whole lists, entries of maps."""
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
# What a stack was deployed with: any value but the configured one is refused (tests/contract/terraform).
GUARDS = [("terraform", "deployed", name) for name in ("project", "account", "region", "store", "group")]
DEFAULTS = [
    (common(key), key)
    for key, entry in reader.leaves(Settings).items()
    if entry.default is not None and (common(key), key) not in WRITTEN and key not in GUARDS
]
CASES = WRITTEN + DEFAULTS


def value_of(project: Project, name: str, key: Key) -> Tree:
    """What a file says, or the schema where no file does."""
    if (name, key) in DEFAULTS:
        return reader.leaves(Settings)[key].default
    written: Tree = at(document.read(project.root / name, name).tree, key)
    return written


def entry_of(key: Key) -> reader.Entry:
    return next(entry for path, entry in reader.leaves(Settings).items() if key[: len(path)] == path)


def others(key: Key, written: Tree) -> list[Tree]:
    """Other values that a key may have than the one written, as a person would write them."""
    entry = entry_of(key)
    kind = reader.value_kind(entry.kind)
    if typing.get_origin(kind) is Mapping:
        kind = typing.get_args(kind)[1]
        return [{Secret: "${secret:OTHER}", int: "7"}.get(kind, "other")]
    if typing.get_origin(kind) is tuple:
        return [[next(text for text in ALMOST_ANYTHING if not refused(entry, (text,)))]]
    if typing.get_origin(kind) is typing.Literal:
        candidates = list(typing.get_args(kind))
    elif kind is str:
        candidates = [text for text in ALMOST_ANYTHING if text != written and not refused(entry, text)][:1]
    else:
        candidates = SOME[kind]
    nothing = [None] if reader.may_be_null(entry.kind) else []
    return [text for text in [*candidates, *nothing] if text not in (written, SAME.get(key))]


def refused(entry: reader.Entry, value: Any) -> bool:
    return bool(entry.meta.check and entry.meta.check.refusal(value))


class Laboratory:
    """A project whose files can be read as if they were others."""

    def __init__(self, project: Project) -> None:
        self.project = project
        sources = Sources(project, {})
        self._before = {(stack, form): self.render(sources, stack, form) for stack in project.stacks for form in FORMS}

    def before(self, stack: Stack, form: str) -> Rendered | None:
        """A stack in a form, of the files as they are."""
        return self._before[stack, form]

    def render(self, sources: Sources, stack: Stack, form: str) -> Rendered | None:
        """Settings and artifacts of a stack in a form, or None where it can't have that."""
        try:
            configuration = sources.configuration(stack, FORMS[form])
        except ConfigError:
            return None
        return configuration, artifacts.render(self.project, configuration.settings)

    def edited(self, name: str, key: Key, value: Tree) -> Sources:
        """The project's sources as if one value in one file were another."""
        file = self.project.root / name
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        replaced = {name: edit.edited(text, [(key, value)])}
        return Sources(self.project, {}, replaced=replaced)

    def loading(self, name: str) -> list[tuple[Stack, str]]:
        """The stacks that load a file, in their forms; what all of them load, only some of them in every form."""
        every = [(stack, form) for stack in self.project.loading(name) for form in FORMS]
        everybodys = Path(name).parts[1] == "common"
        return [case for case in every if not everybodys or case[0].environment == "dev" or case[1] == PLAIN]


@pytest.fixture(scope="module")
def laboratory(shipped: Project) -> Laboratory:
    return Laboratory(shipped)


def changed(before: Artifacts, after: Artifacts) -> frozenset[str]:
    return frozenset(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


@pytest.mark.parametrize(("name", "key"), CASES, ids=[f"{name}:{dotted(key)}" for name, key in CASES])
def test_edited_value_changes_only_its_affected_artifacts(laboratory: Laboratory, name: str, key: Key) -> None:
    tried, reached, overridden = 0, frozenset[str](), False
    for value in others(key, value_of(laboratory.project, name, key)):
        sources = laboratory.edited(name, key, value)
        for stack, form in laboratory.loading(name):
            old, new = laboratory.before(stack, form), laboratory.render(sources, stack, form)
            if not (old and new):
                continue
            tried += 1
            difference = changed(old[1], new[1])
            # A stronger layer, or the flag of this form, may have the last word.
            decides = new[0].origins(key)[0].layer == name
            expected = old[0].affected(key) | new[0].affected(key) if decides else frozenset()
            assert difference <= expected, f"{stack} {form}: {dotted(key)} = {value} in {name}"
            reached |= difference
            overridden |= not decides
    assert tried, "no other value of it is valid in any stack"
    # What stands in no file may have a value of its own wherever it matters.
    elsewhere = overridden and (name, key) in DEFAULTS
    assert reached or entry_of(key).meta.tasks or elsewhere, "a dead leaf: it changes nothing anywhere"


@pytest.mark.parametrize("key", MAPS, ids=dotted)
def test_added_map_entry_changes_only_artifacts_of_the_map(laboratory: Laboratory, key: Key) -> None:
    added, reached = (*key, "ADDED"), frozenset[str]()
    sources = laboratory.edited(common(key), added, others(added, None)[0])
    for stack, form in laboratory.loading(common(key)):
        old, new = laboratory.before(stack, form), laboratory.render(sources, stack, form)
        assert (old and new) or form != PLAIN
        if old and new:  # not every stack can have every form
            assert changed(old[1], new[1]) <= new[0].affected(added)
            reached |= changed(old[1], new[1])
    assert reached or entry_of(key).meta.tasks, "a dead map: it changes nothing anywhere"


def test_external_ollama_url_changes_only_its_affected_artifacts(laboratory: Laboratory) -> None:
    """Without one, there is no such stack to begin with."""
    form, other = "with an Ollama elsewhere", "ollama.url=http://192.0.2.8:2"
    sources = Sources(laboratory.project, {})
    for stack in laboratory.project.stacks:
        before, after = laboratory.before(stack, form), sources.configuration(stack, [*FORMS[form], other])
        assert before
        files = artifacts.render(laboratory.project, after.settings)
        assert frozenset() != changed(before[1], files) <= after.affected(("ollama", "url"))


def test_cases_cover_all_shipped_files(shipped: Project) -> None:
    """The wheel's copy of conf/ and the repository's are one."""
    assert [file.relative_to(shipped.conf) for file in files(shipped.conf)] == [
        file.relative_to(SHIPPED) for file in files(SHIPPED)
    ]
    assert len(WRITTEN) > 60
    assert len(DEFAULTS) > 20


@pytest.fixture(scope="module")
def anywhere() -> Mapping[Key, Collection[str]]:
    return affected.anywhere()


@pytest.mark.parametrize("key", reader.leaves(Settings), ids=dotted)
def test_every_key_affects_an_artifact_or_documents_its_tasks(
    anywhere: Mapping[Key, Collection[str]], key: Key
) -> None:
    assert anywhere.get(key) or reader.leaves(Settings)[key].meta.tasks


REUSED = [
    "project.name", "ports.lab", "resources.lab.cpu", "resources.lab.memory", "network.base_url", "env.DEVAI_STACK",
    "secrets.OPENAI_API_KEY", "labels.devai.io/environment", "ollama.image", "ollama.keep_alive", "storage.home",
    "storage.models",
]  # fmt: skip


@pytest.mark.parametrize("name", REUSED)
def test_common_keys_affect_every_target(laboratory: Laboratory, name: str) -> None:
    """The reuse matrix: image, port, CPU and memory, storage, environment, secrets, networking and labels."""
    for stack in laboratory.project.stacks:
        before = laboratory.before(stack, PLAIN)
        assert before
        configuration, rendered = before
        reached = {artifact.partition("/")[0] for artifact in configuration.affected(configuration.keys(name)[0])}
        elsewhere = {"image"}
        if name.startswith("secrets."):
            elsewhere.add("terraform")  # by a variable when it runs, and in no artifact: tests/contract/terraform
        if name.startswith("storage."):
            elsewhere.add("compose")  # whose volumes are as large as the disk
        if name == "ports.lab" and "kubernetes/lab.yaml" in rendered:
            elsewhere.add("terraform")  # the service's port is seen inside of the cluster only
        assert reached >= {artifact.partition("/")[0] for artifact in rendered} - elsewhere, stack


def test_edited_lab_port_changes_one_line_in_compose_env(laboratory: Laboratory) -> None:
    stack = Stack("dev", "local")
    before = laboratory.before(stack, PLAIN)
    after = laboratory.render(laboratory.edited("conf/common/ports.yaml", ("ports", "lab"), "9000"), stack, PLAIN)
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
