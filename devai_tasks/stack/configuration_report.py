"""Reports on a project's configuration: errors, settings without effect, differences between two stacks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from devai_tasks.config.configuration import Configuration, Origin, at, dotted
from devai_tasks.config.document import Key
from devai_tasks.config.layers import PERSONAL_KINDS, Layer
from devai_tasks.config.load import Sources, quote
from devai_tasks.config.project import Project
from devai_tasks.config.schema import SHARED
from devai_tasks.config.secrets import ENCRYPTED_FILE, FILE
from devai_tasks.config.sections.project import FORMAT
from devai_tasks.config.stack import Stack
from devai_tasks.stack import artifacts
from devai_tasks.system.errors import ConfigError, Problem, nearest
from devai_tasks.targets.kubernetes import overlays
from devai_tasks.workspace import ownership

# Files of conf/ that are not layers, and are read elsewhere.
_NOT_LAYERS = {"conf/personal.yaml", FILE, ENCRYPTED_FILE, "conf/secrets.example.yaml", "conf/schema.json"}


@dataclass(frozen=True, order=True)
class Finding:
    """Something that is valid, but has no effect or is outdated."""

    place: str
    what: str
    advice: str

    def __str__(self) -> str:
        return f"{self.place}  {self.what}\n  {self.advice}"


@dataclass(frozen=True)
class Difference:
    """A key whose values differ between two stacks; None where a stack does not have the key."""

    key: str
    left: str | None
    right: str | None
    origin: Origin | None
    """Where the right value comes from."""


def configurations(
    sources: Sources, stacks: Iterable[Stack], overrides: Sequence[str] = (), *, gpu: bool = False
) -> list[Configuration]:
    """Return the configurations of several stacks. Raises ConfigError with the problems of all stacks, each once."""
    loaded: list[Configuration] = []
    problems: list[Problem] = []
    for stack in stacks:
        try:
            configuration = sources.configuration(stack, overrides, gpu=gpu)
        except ConfigError as error:
            problems += error.problems
            continue
        loaded.append(configuration)
        if refusal := overlays.unknown_overlay(sources.project, configuration.settings):
            key, overlay = ("kubernetes", "overlay"), configuration.settings.kubernetes.overlay
            problems.append(Problem(configuration.origins(key)[0].place, quote(key, overlay), refusal))
    if problems:
        raise ConfigError(problems)
    return loaded


def findings(sources: Sources, loaded: Sequence[Configuration]) -> list[Finding]:
    """Return keys without effect, files that no stack loads, and outdated artifacts."""
    project = sources.project
    result = [*_without_effect(project, _shared_variants(sources, loaded))]
    if len(loaded) == len(project.stacks):  # a stack that is not loaded here may use a file
        result += [*_unloaded(project, loaded), *_old_format(loaded)]
    for configuration in loaded:
        command = f"`inv config.render {configuration.settings.stack.flags}` renders it again"
        result += [Finding(name, "is out of date", command) for name in stale(project, configuration)]
    return sorted(set(result))


def _shared_variants(sources: Sources, loaded: Sequence[Configuration]) -> list[Configuration]:
    """Return the stacks without personal configuration, with and without GPUs: a key used in any variant has effect."""
    result = []
    for configuration in loaded:
        changed = any(layer.tree for layer in configuration.layers if layer.kind in (*PERSONAL_KINDS, "flags"))
        if not changed:
            result.append(configuration)
        for gpu in (False, True) if changed else (True,):
            with suppress(ConfigError):  # a stack may not support GPUs, or be incomplete without the personal part
                result.append(sources.configuration(configuration.settings.stack, gpu=gpu, shared_only=True))
    return result


def stale(project: Project, configuration: Configuration) -> list[str]:
    """Return the outdated files of targets that have been rendered before."""
    folder = project.artifacts(configuration.settings.stack)
    return [
        name
        for name in artifacts.out_of_date(project, configuration.settings)
        if (folder / Path(name).relative_to(folder.relative_to(project.root)).parts[0]).exists()
    ]


def _without_effect(project: Project, loaded: Sequence[Configuration]) -> Iterator[Finding]:
    """Yield values in shared files that have no effect in any stack, where all stacks that load the file are loaded."""
    stacks = {configuration.settings.stack for configuration in loaded}

    def is_complete(layer: Layer) -> bool:
        return layer.kind in SHARED and stacks.issuperset(project.loading(layer.name))

    locations: dict[tuple[str, Key], str] = {}
    used: set[tuple[str, Key]] = set()
    for configuration in loaded:
        shared = [layer for layer in configuration.layers if is_complete(layer)]
        for key in configuration.keys(""):
            setting = [layer for layer in shared if at(layer.tree, key) is not ...]
            locations |= {(layer.name, key): layer.key_location(key) for layer in setting}
            if setting and (configuration.affected(key) or configuration.tasks(key)):
                used.add((setting[-1].name, key))
    for name, key in locations.keys() - used:
        yield Finding(locations[name, key], dotted(key), "has no effect in any stack that loads this file")


def _unloaded(project: Project, loaded: Sequence[Configuration]) -> Iterator[Finding]:
    layers = {layer.name for configuration in loaded for layer in configuration.layers}
    for file in sorted(path for path in project.conf.rglob("*") if path.is_file()):
        name = file.relative_to(project.root).as_posix()
        if name not in layers | _NOT_LAYERS and file.suffix != ".md" and not file.name.startswith("."):
            yield Finding(name, "no stack loads this file", _why_unloaded(project, file))


def _old_format(loaded: Sequence[Configuration]) -> list[Finding]:
    if all(configuration.settings.project.format == FORMAT for configuration in loaded):
        return []
    return [
        Finding(ownership.FILE, "the project has the format of an older version", "`inv config.migrate` updates it")
    ]


def _why_unloaded(project: Project, file: Path) -> str:
    folder = file.parent.name
    if file.suffix != ".yaml":
        return "layers are files with the extension .yaml"
    if folder == "stacks":
        stacks = [str(stack) for stack in project.stacks]
        return f"no stack is named {file.stem}{nearest(file.stem, stacks)}"
    return "layers are in conf/common, conf/clouds, conf/profiles and conf/stacks"


def differences(left: Configuration, right: Configuration) -> list[Difference]:
    """Return the keys whose values differ between two stacks."""
    result = []
    for key in sorted({*left.keys(""), *right.keys("")}):
        values = _value(left, key), _value(right, key)
        if values[0] != values[1]:
            origins = right.origins(key)
            result.append(Difference(dotted(key), *values, origins[0] if origins else None))
    return result


def _value(configuration: Configuration, key: Key) -> str | None:
    return configuration.explain(key).value if at(configuration.plain, key) is not ... else None


def placeholders(loaded: Sequence[Configuration]) -> list[str]:
    """Return the placeholders of several stacks, one line for each key."""
    stacks: dict[str, list[str]] = defaultdict(list)
    for configuration in loaded:
        for line in configuration.placeholders:
            stacks[line].append(str(configuration.settings.stack))
    return [f"{line} ({', '.join(names)})" for line, names in stacks.items()]


def as_json(problems: Iterable[Problem]) -> list[dict[str, str]]:
    """Return problems as plain values, for `--json`."""
    return [{"place": problem.location, "found": problem.found, "remedy": problem.allowed} for problem in problems]
