"""What can be asked of a project's configuration: is it whole, is anything in it in vain, how do two stacks differ."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from devai_tasks.config.configuration import Configuration, Origin, at, dotted
from devai_tasks.config.document import Key
from devai_tasks.config.layers import PERSONS, Layer
from devai_tasks.config.load import Sources, quote
from devai_tasks.config.project import Project
from devai_tasks.config.schema import SHARED
from devai_tasks.config.secrets import ENCRYPTED_FILE, FILE
from devai_tasks.config.stack import Stack
from devai_tasks.stack import artifacts
from devai_tasks.system.errors import ConfigError, Problem, nearest
from devai_tasks.targets.kubernetes import overlays

# Files of conf/ that are no layers, and have their own readers.
NO_LAYERS = {"conf/personal.yaml", FILE, ENCRYPTED_FILE, "conf/secrets.example.yaml", "conf/schema.json"}


@dataclass(frozen=True, order=True)
class Finding:
    """Something that is no mistake, but in vain."""

    place: str
    what: str
    advice: str

    def __str__(self) -> str:
        return f"{self.place}  {self.what}\n  {self.advice}"


@dataclass(frozen=True)
class Difference:
    """A key that two stacks don't agree on; None where one of them has no such key."""

    key: str
    one: str | None
    other: str | None
    origin: Origin | None
    """Where the other one's value comes from."""


def configurations(
    sources: Sources, stacks: Iterable[Stack], overrides: Sequence[str] = (), *, gpu: bool = False
) -> list[Configuration]:
    """Those of several stacks. Raises ConfigError with the problems of all of them, each once."""
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
            key, named = ("kubernetes", "overlay"), configuration.settings.kubernetes.overlay
            problems.append(Problem(configuration.origins(key)[0].place, quote(key, named), refusal))
    if problems:
        raise ConfigError(problems)
    return loaded


def findings(sources: Sources, loaded: Sequence[Configuration]) -> list[Finding]:
    """Keys without effect, files that no layer loads, artifacts that are not what would be rendered now."""
    project = sources.project
    found = [*_without_effect(project, _everybodys(sources, loaded))]
    if len(loaded) == len(project.stacks):  # a part can't tell whether another part loads a file
        found += _unloaded(project, loaded)
    for configuration in loaded:
        command = f"`inv config.render {configuration.settings.stack.flags}` renders it again"
        found += [Finding(name, "is out of date", command) for name in stale(project, configuration)]
    return sorted(set(found))


def _everybodys(sources: Sources, loaded: Sequence[Configuration]) -> list[Configuration]:
    """The same stacks without personal configuration, with GPUs and without: what has an effect there is used."""
    made = []
    for one in loaded:
        changed = any(layer.tree for layer in one.layers if layer.kind in (*PERSONS, "flags"))
        if not changed:
            made.append(one)
        for gpu in (False, True) if changed else (True,):
            with suppress(ConfigError):  # not all can have GPUs, or are whole without a person's part
                made.append(sources.configuration(one.settings.stack, gpu=gpu, everybodys=True))
    return made


def stale(project: Project, configuration: Configuration) -> list[str]:
    """Files of targets that were rendered before, where rendering would change them now."""
    folder = project.artifacts(configuration.settings.stack)
    return [
        name
        for name in artifacts.out_of_date(project, configuration.settings)
        if (folder / Path(name).relative_to(folder.relative_to(project.root)).parts[0]).exists()
    ]


def _without_effect(project: Project, loaded: Sequence[Configuration]) -> Iterator[Finding]:
    """Values in shared files that change nothing in any of the stacks that load them, if all of those are here."""
    here = {configuration.settings.stack for configuration in loaded}

    def whole(layer: Layer) -> bool:
        return layer.kind in SHARED and here.issuperset(project.loading(layer.name))

    places: dict[tuple[str, Key], str] = {}
    used: set[tuple[str, Key]] = set()
    for configuration in loaded:
        shared = [layer for layer in configuration.layers if whole(layer)]
        for key in configuration.keys(""):
            setting = [layer for layer in shared if at(layer.tree, key) is not ...]
            places |= {(layer.name, key): layer.name_place(key) for layer in setting}
            if setting and (configuration.affected(key) or configuration.tasks(key)):
                used.add((setting[-1].name, key))
    for name, key in places.keys() - used:
        yield Finding(places[name, key], dotted(key), "changes nothing in any stack that has this file")


def _unloaded(project: Project, loaded: Sequence[Configuration]) -> Iterator[Finding]:
    layers = {layer.name for configuration in loaded for layer in configuration.layers}
    for file in sorted(path for path in project.conf.rglob("*") if path.is_file()):
        name = file.relative_to(project.root).as_posix()
        if name not in layers | NO_LAYERS and file.suffix != ".md" and not file.name.startswith("."):
            yield Finding(name, "no layer loads this file", _why_unloaded(project, file))


def _why_unloaded(project: Project, file: Path) -> str:
    folder = file.parent.name
    if file.suffix != ".yaml":
        return "layers are files that end in .yaml"
    if folder == "stacks":
        stacks = [str(stack) for stack in project.stacks]
        return f"there is no stack {file.stem}{nearest(file.stem, stacks)}"
    return "layers are in conf/common, conf/clouds, conf/profiles and conf/stacks"


def differences(one: Configuration, other: Configuration) -> list[Difference]:
    """What differs between two stacks, key by key."""
    found = []
    for key in sorted({*one.keys(""), *other.keys("")}):
        left, right = (_value(configuration, key) for configuration in (one, other))
        if left != right:
            origins = other.origins(key)
            found.append(Difference(dotted(key), left, right, origins[0] if origins else None))
    return found


def _value(configuration: Configuration, key: Key) -> str | None:
    return configuration.explain(key).value if at(configuration.plain, key) is not ... else None


def stand_ins(loaded: Sequence[Configuration]) -> list[str]:
    """The pending values of several stacks, a line for each key."""
    stacks: dict[str, list[str]] = defaultdict(list)
    for configuration in loaded:
        for line in configuration.stand_ins:
            stacks[line].append(str(configuration.settings.stack))
    return [f"{line} ({', '.join(names)})" for line, names in stacks.items()]


def places_of(problems: Iterable[Problem]) -> list[dict[str, str]]:
    """Problems for programs."""
    return [{"place": problem.location, "found": problem.found, "remedy": problem.allowed} for problem in problems]
