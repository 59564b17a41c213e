"""The sources of values, weakest first."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from devai_tasks.config import document, secrets
from devai_tasks.config.document import Key, Tree
from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.system.errors import ConfigError, Problem

VARIABLE_PREFIX = "DEVAI__"
# What only a deployment knows, written by the tasks that made it: a layer like any other.
DEPLOYMENT_FILE = "deployment.yaml"
# The kinds of layers that one person has, beside flags.
PERSONS = ("personal", "variables")


@dataclass(frozen=True)
class Layer:
    """One source of values: a file, the environment's variables, the flags.

    `kind` is the folder or file of conf/ that it comes from (common, clouds, profiles, stacks, personal), or
    deployment, variables, flags. `places` says where each value of `tree` stands, `names` where its key does.
    `problems` are those that kept parts of the source out of `tree`.
    """

    name: str
    kind: str
    tree: dict[str, Tree] = field(default_factory=dict)
    places: Mapping[Key, str] = field(default_factory=dict)
    names: Mapping[Key, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def place(self, key: Key) -> str:
        """Where the value at `key`, or the nearest thing around it, stands."""
        return _nearest(self.places, key, self.name)

    def name_place(self, key: Key) -> str:
        """Where `key` itself stands."""
        return _nearest(self.names, key, self.name)


def _nearest(places: Mapping[Key, str], key: Key, otherwise: str) -> str:
    while key and key not in places:
        key = key[:-1]
    return places.get(key, otherwise)


class Files:
    """The layers of a project that are files, each read once; what they hold may be wrong.

    `replaced` are texts that count in place of files, by their names in the project.
    """

    def __init__(self, project: Project, replaced: Mapping[str, str]) -> None:
        self.project = project
        self._replaced = replaced
        self._read: dict[Path, Layer] = {}

    def common(self) -> list[Layer]:
        """What every stack has: conf/common, one file for each section."""
        files = {*(self.project.conf / "common").glob("*.yaml")}
        files |= {self.project.root / name for name in self._replaced if name.startswith("conf/common/")}
        return [self._layer(file, "common") for file in sorted(files)]

    def of_stack(self, stack: Stack) -> list[Layer]:
        """What a stack has beside conf/common; conf/personal.yaml only where the shared files don't protect it."""
        conf = self.project.conf
        shared = [
            self._layer(conf / "clouds" / f"{stack.cloud}.yaml", "clouds"),
            self._layer(conf / "profiles" / f"{stack.environment}.yaml", "profiles"),
            *self._optional(conf / "stacks" / f"{stack}.yaml", "stacks"),
        ]
        # Read before anything is merged, because it decides what is.
        said = [layer.tree["protected"] for layer in [*self.common(), *shared] if "protected" in layer.tree]
        personal = self.personal() if said[-1:] != ["true"] else []
        return [*shared, *personal, *self._optional(self.project.state(stack) / DEPLOYMENT_FILE, "deployment")]

    def personal(self) -> list[Layer]:
        """The personal configuration of this checkout."""
        return self._optional(self.project.conf / "personal.yaml", "personal")

    def _optional(self, file: Path, kind: str) -> list[Layer]:
        known = file.exists() or self._name(file) in self._replaced
        return [self._layer(file, kind)] if known else []

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
            content = document.read(file, name) if replaced is None else document.parse(replaced, name)
        except ConfigError as error:
            return Layer(name, kind, problems=tuple(error.problems))
        tree, problems = content.tree, []
        if kind == "common":
            # One place to look for a value: the file named after its section.
            problems = [
                Problem(content.names[(section,)], section, f"belongs into conf/common/{section}.yaml")
                for section in tree
                if section != file.stem
            ]
            tree = {section: value for section, value in tree.items() if section == file.stem}
        return Layer(name, kind, tree, content.places, content.names, tuple(problems))


def builtin(stack: Stack) -> dict[str, Tree]:
    """Names that values may interpolate without anybody setting them, such as `${stack}` or `${host.uid}`."""
    return {
        "stack": str(stack),
        "environment": stack.environment,
        "cloud": stack.cloud,
        "host": {"uid": str(os.getuid()), "gid": str(os.getgid())},
    }


BUILTIN = frozenset(builtin(Stack("", "")))


def variables(environ: Mapping[str, str], maps: Collection[Key]) -> Layer:
    """`DEVAI__PORTS__LAB=9000` sets `ports.lab`. Names of variables are upper case, keys lower.

    What follows the name of one of the `maps` is one name of somebody's own, and stays as it is.
    """
    assignments = []
    for name, value in sorted(environ.items()):
        if name.startswith(VARIABLE_PREFIX):
            parts = name.removeprefix(VARIABLE_PREFIX).split("__")
            path = [part.lower() for part in parts]
            of_map = next((length for length in range(len(path)) if tuple(path[:length]) in maps), None)
            if of_map is not None:
                path[of_map:] = ["__".join(parts[of_map:])]
            assignments.append((path, value, name))
    return _assign("environment variables", "variables", assignments)


def flags(overrides: Sequence[str], *, gpu: bool, split: Callable[[str], list[str]]) -> Layer:
    """`--set ports.lab=9000`, and `--gpu`; `split` makes a path of a dotted key."""
    assignments = [(["gpu", "enabled"], "true", "--gpu")] if gpu else []
    problems = []
    for override in overrides:
        name, equals, value = override.partition("=")
        if not equals or not all(name.split(".")):
            problems.append(Problem(f"--set {_safe(override)}", "no override", "write --set section.key=value"))
        else:
            assignments.append((split(name), value, f"--set {_safe(override)}"))
    return _assign("command line", "flags", assignments, problems)


def words(overrides: Sequence[str], *, gpu: bool) -> str:
    """The same flags as a person types them, for messages."""
    return shlex.join([*(["--gpu"] if gpu else []), *(f"--set={_safe(override)}" for override in overrides)])


def _safe(override: str) -> str:
    """An override as messages may show it: the value of a secret is none of theirs, what only names one is."""
    name, _, value = override.partition("=")
    hidden = name.partition(".")[0] == "secrets" and secrets.masked(value) != value
    return f"{name}={secrets.MASK}" if hidden else override


def _assign(
    name: str, kind: str, assignments: Iterable[tuple[list[str], str, str]], problems: Iterable[Problem] = ()
) -> Layer:
    """A layer from `(path, text, place)`; the later wins, and as between layers a map adds to what is there."""
    tree: dict[str, Tree] = {}
    places: dict[Key, str] = {}
    found = [*problems]
    for path, text, place in assignments:
        try:
            value = document.parse_value(text)
        except ConfigError as error:
            found += [Problem(place, ".".join(path), problem.allowed) for problem in error.problems]
            continue
        for key, leaf in leaves(tuple(path), value):
            node = tree
            for part in key[:-1]:
                child = node.setdefault(part, {})
                if not isinstance(child, dict):
                    found.append(Problem(place, ".".join(path), f"another override says that {part} is one value"))
                    child = {}
                node = child
            if leaf != {} or key[-1] not in node:
                node[key[-1]] = leaf
            places.update({key[: index + 1]: place for index in range(len(key))})
    return Layer(name, kind, tree, places, places, tuple(found))


def leaves(key: tuple[str, ...], value: Tree) -> Iterator[tuple[tuple[str, ...], Tree]]:
    """What a value sets, each thing by itself: all that a map holds, and anything else as a whole."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from leaves((*key, name), inner)
    else:
        yield key, value
