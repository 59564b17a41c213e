"""Layers: the sources of values, from weakest to strongest."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from devai_tasks.config import document, secrets
from devai_tasks.config.document import Key, Tree
from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.system.errors import ConfigError, Problem

VARIABLE_PREFIX = "DEVAI__"
# Values that are known only after a deployment, recorded by the deploying tasks: a layer like any other.
DEPLOYMENT_FILE = "deployment.yaml"
# Kinds of layers that belong to one user, in addition to flags.
PERSONAL_KINDS = ("personal", "variables")


@dataclass(frozen=True, eq=False)
class Layer:
    """One source of values: a file, the environment variables or the flags. Compared by identity.

    Attributes:
        name: Name of the source in messages.
        kind: Folder or file of conf/ (common, clouds, profiles, stacks, personal), or deployment, variables, flags.
        tree: The values.
        locations: Location of each value.
        key_locations: Location of each key itself.
        problems: Problems because of which parts of the source are not in `tree`.
    """

    name: str
    kind: str
    tree: dict[str, Tree] = field(default_factory=dict)
    locations: Mapping[Key, str] = field(default_factory=dict)
    key_locations: Mapping[Key, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def location(self, key: Key) -> str:
        """Return the location of the value of `key`, or of its nearest parent."""
        return _nearest(self.locations, key, self.name)

    def key_location(self, key: Key) -> str:
        """Return the location of `key` itself, or of its nearest parent."""
        return _nearest(self.key_locations, key, self.name)


def _nearest(locations: Mapping[Key, str], key: Key, default: str) -> str:
    while key and key not in locations:
        key = key[:-1]
    return locations.get(key, default)


class Files:
    """The file layers of a project, each read once and not validated."""

    def __init__(self, project: Project, replaced: Mapping[str, str]) -> None:
        """Create the layers of a project; `replaced` has texts to use instead of files, by path in the project."""
        self.project = project
        self._replaced = replaced
        self._read: dict[Path, Layer] = {}

    def common(self) -> list[Layer]:
        """Return the layers of all stacks: conf/common, with one file for each section."""
        files = {*(self.project.conf / "common").glob("*.yaml")}
        files |= {self.project.root / name for name in self._replaced if name.startswith("conf/common/")}
        return [self._layer(file, "common") for file in sorted(files)]

    def of_stack(self, stack: Stack) -> list[Layer]:
        """Return the other layers of a stack; conf/personal.yaml only if the shared files do not protect the stack."""
        conf = self.project.conf
        shared = [
            self._layer(conf / "clouds" / f"{stack.cloud}.yaml", "clouds"),
            self._layer(conf / "profiles" / f"{stack.environment}.yaml", "profiles"),
            *self._optional(conf / "stacks" / f"{stack}.yaml", "stacks"),
        ]
        # Read before merging, because it determines which layers are merged.
        values = [layer.tree["protected"] for layer in [*self.common(), *shared] if "protected" in layer.tree]
        personal = self.personal() if values[-1:] != ["true"] else []
        return [*shared, *personal, *self._optional(self.project.state(stack) / DEPLOYMENT_FILE, "deployment")]

    def personal(self) -> list[Layer]:
        """Return the personal configuration of this checkout."""
        return self._optional(self.project.conf / "personal.yaml", "personal")

    def _optional(self, file: Path, kind: str) -> list[Layer]:
        exists = file.exists() or self._name(file) in self._replaced
        return [self._layer(file, kind)] if exists else []

    def _layer(self, file: Path, kind: str) -> Layer:
        if file not in self._read:
            self._read[file] = self._load(file, kind)
        return self._read[file]

    def _name(self, file: Path) -> str:
        return file.relative_to(self.project.root).as_posix()

    def _load(self, file: Path, kind: str) -> Layer:
        name = self._name(file)
        try:
            replaced = self._replaced.get(name)
            text = document.read_text(file, name) if replaced is None else replaced
        except ConfigError as error:
            return Layer(name, kind, problems=tuple(error.problems))
        return _parsed(name, kind, text)


# A run may load the same files several times: before and after an edit or a deployment.
@lru_cache(maxsize=1024)
def _parsed(name: str, kind: str, text: str) -> Layer:
    """Return the layer of a file with this text."""
    try:
        content = document.parse(text, name)
    except ConfigError as error:
        return Layer(name, kind, problems=tuple(error.problems))
    tree, problems = content.tree, []
    if kind == "common":
        # Each section has one file, so that values are easy to find.
        stem = Path(name).stem
        problems = [
            Problem(content.key_locations[(section,)], section, f"must be set in conf/common/{section}.yaml")
            for section in tree
            if section != stem
        ]
        tree = {section: value for section, value in tree.items() if section == stem}
    return Layer(name, kind, tree, content.locations, content.key_locations, tuple(problems))


def builtin(stack: Stack) -> dict[str, Tree]:
    """Return built-in values for interpolation, such as `${stack}` or `${host.uid}`."""
    return {
        "stack": str(stack),
        "environment": stack.environment,
        "cloud": stack.cloud,
        "host": {"uid": str(os.getuid()), "gid": str(os.getgid())},
    }


BUILTIN = frozenset(builtin(Stack("", "")))


def variables(environ: Mapping[str, str], maps: Collection[Key]) -> Layer:
    """Return the layer of environment variables: `DEVAI__PORTS__LAB=9000` sets `ports.lab`.

    Names of variables are upper case, keys are lower case.

    Args:
        environ: Environment variables.
        maps: Keys of maps. The text after such a key is one user-defined name, whose case is preserved.
    """
    assignments = []
    for name, value in sorted(environ.items()):
        if name.startswith(VARIABLE_PREFIX):
            parts = name.removeprefix(VARIABLE_PREFIX).split("__")
            path = [part.lower() for part in parts]
            map_length = next((length for length in range(len(path)) if tuple(path[:length]) in maps), None)
            if map_length is not None:
                path[map_length:] = ["__".join(parts[map_length:])]
            assignments.append((path, value, name))
    return _assign("environment variables", "variables", assignments)


def flags(overrides: Sequence[str], *, gpu: bool, split: Callable[[str], list[str]]) -> Layer:
    """Return the layer of `--set ports.lab=9000` and `--gpu`; `split` converts a dotted key to a path."""
    assignments = [(["gpu", "enabled"], "true", "--gpu")] if gpu else []
    problems = []
    for override in overrides:
        name, equals, value = override.partition("=")
        if not equals or not all(name.split(".")):
            problems.append(Problem(f"--set {_safe(override)}", "not an override", "write --set section.key=value"))
        else:
            assignments.append((split(name), value, f"--set {_safe(override)}"))
    return _assign("command line", "flags", assignments, problems)


def flags_text(overrides: Sequence[str], *, gpu: bool) -> str:
    """Return the flags as command line text, for messages."""
    return shlex.join([*(["--gpu"] if gpu else []), *(f"--set={_safe(override)}" for override in overrides)])


def _safe(override: str) -> str:
    """Return an override for messages, with secret values masked; references to secrets are shown."""
    name, _, value = override.partition("=")
    is_secret = name.partition(".")[0] == "secrets" and secrets.masked(value) != value
    return f"{name}={secrets.MASK}" if is_secret else override


def _assign(
    name: str, kind: str, assignments: Iterable[tuple[list[str], str, str]], problems: Iterable[Problem] = ()
) -> Layer:
    """Return a layer from `(path, text, location)` tuples.

    Later assignments win. As between layers, a map is merged with previous values.
    """
    tree: dict[str, Tree] = {}
    locations: dict[Key, str] = {}
    all_problems = [*problems]
    for path, text, location in assignments:
        try:
            value = document.parse_value(text)
        except ConfigError as error:
            all_problems += [Problem(location, ".".join(path), problem.allowed) for problem in error.problems]
            continue
        for key, member in leaves(tuple(path), value):
            node = tree
            for part in key[:-1]:
                child = node.setdefault(part, {})
                if not isinstance(child, dict):
                    all_problems.append(
                        Problem(location, ".".join(path), f"another override sets {part} to a single value")
                    )
                    child = {}
                node = child
            if member != {} or key[-1] not in node:
                node[key[-1]] = member
            locations.update({key[: index + 1]: location for index in range(len(key))})
    return Layer(name, kind, tree, locations, locations, tuple(all_problems))


def leaves(key: tuple[str, ...], value: Tree) -> Iterator[tuple[tuple[str, ...], Tree]]:
    """Yield each key that a value sets: the members of a map recursively, and any other value as a whole."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from leaves((*key, name), inner)
    else:
        yield key, value
