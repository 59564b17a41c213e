"""The sources of values, weakest first."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from devai_tasks.config import document
from devai_tasks.config.document import Key, Tree
from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.errors import ConfigError, Problem

VARIABLE_PREFIX = "DEVAI__"


@dataclass(frozen=True)
class Layer:
    """One source of values: a file, a variable, a flag. `places` says where each key of `tree` was set."""

    name: str
    tree: dict[str, Tree]
    places: Mapping[Key, str]
    # Whether it may say that a stack is protected: the files that everybody shares may, one person's wishes may not.
    locks: bool = False

    def place(self, key: Key) -> str:
        """Where the nearest thing to `key` stands in this layer."""
        while key and key not in self.places:
            key = key[:-1]
        return self.places.get(key, self.name)


def of_stack(
    project: Project, stack: Stack, overrides: Sequence[str], gpu: bool, environ: Mapping[str, str]
) -> list[Layer]:
    """All layers of a stack. Raises ConfigError with what is wrong in each of them."""
    problems: list[Problem] = []
    layers: list[Layer] = []

    def add(load: Callable[[], Layer]) -> None:
        try:
            layers.append(load())
        except ConfigError as error:
            problems.extend(error.problems)

    for file in _files(project, stack):
        add(partial(_file, project, file))
    personal = project.conf / "personal.yaml"
    if personal.exists() and not _protected(layers):
        add(partial(_file, project, personal))
    add(partial(_variables, environ))
    add(partial(_flags, overrides, gpu=gpu))
    if problems:
        raise ConfigError(problems)
    return layers


def builtin(stack: Stack) -> dict[str, Tree]:
    """Names that values may interpolate without anybody setting them, such as `${stack}` or `${host.uid}`."""
    return {
        "stack": str(stack),
        "environment": stack.environment,
        "cloud": stack.cloud,
        "host": {"uid": str(os.getuid()), "gid": str(os.getgid())},
    }


def _files(project: Project, stack: Stack) -> list[Path]:
    conf = project.conf
    files = sorted((conf / "common").glob("*.yaml"))
    files += [conf / "clouds" / f"{stack.cloud}.yaml", conf / "profiles" / f"{stack.environment}.yaml"]
    one_stack = conf / "stacks" / f"{stack}.yaml"
    return [*files, one_stack] if one_stack.exists() else files


def _protected(layers: Sequence[Layer]) -> bool:
    """Whether the shared files protect the stack: one person's wishes have no say there."""
    return next((layer.tree["protected"] for layer in reversed(layers) if "protected" in layer.tree), None) == "true"


def _file(project: Project, file: Path) -> Layer:
    name = file.relative_to(project.root).as_posix()
    content = document.read(file, name)
    if file.parent.name == "common":
        # One place to look for a value: the file named after its section.
        strays = [
            Problem(content.places[(section,)], section, f"belongs into conf/common/{section}.yaml")
            for section in content.tree
            if section != file.stem
        ]
        if strays:
            raise ConfigError(strays)
    return Layer(name, content.tree, content.places, locks=file.name != "personal.yaml")


def _variables(environ: Mapping[str, str]) -> Layer:
    """`DEVAI__PORTS__LAB=9000` sets `ports.lab`. Names of variables are upper case, keys lower."""
    assignments = [
        (name.removeprefix(VARIABLE_PREFIX).split("__"), value, name)
        for name, value in sorted(environ.items())
        if name.startswith(VARIABLE_PREFIX)
    ]
    # The section of an environment variable is env: what follows is a name, and keeps its case.
    return _assign(
        "environment variables",
        [
            ([part if index and parts[0] == "ENV" else part.lower() for index, part in enumerate(parts)], value, name)
            for parts, value, name in assignments
        ],
    )


def _flags(overrides: Sequence[str], *, gpu: bool) -> Layer:
    """`--set ports.lab=9000`, and `--gpu`."""
    assignments = [(["gpu", "enabled"], "true", "--gpu")] if gpu else []
    problems = []
    for override in overrides:
        name, equals, value = override.partition("=")
        if not equals or not all(name.split(".")):
            problems.append(Problem(f"--set {override}", "no override", "write --set section.key=value"))
        else:
            assignments.append((name.split("."), value, f"--set {override}"))
    if problems:
        raise ConfigError(problems)
    return _assign("command line", assignments)


def _assign(name: str, assignments: Sequence[tuple[list[str], str, str]]) -> Layer:
    """A layer from `(path, text, place)`; the later wins."""
    tree: dict[str, Tree] = {}
    places: dict[Key, str] = {}
    problems = []
    for path, text, place in assignments:
        try:
            value = document.parse_value(text)
        except ConfigError as error:
            problems += [Problem(place, problem.found, problem.remedy) for problem in error.problems]
            continue
        node = tree
        for part in path[:-1]:
            child = node.setdefault(part, {})
            if not isinstance(child, dict):
                problems.append(Problem(place, ".".join(path), f"another override says that {part} is one value"))
                child = {}
            node = child
        node[path[-1]] = value
        places.update({tuple(path[: index + 1]): place for index in range(len(path))})
    if problems:
        raise ConfigError(problems)
    return Layer(name, tree, places)
