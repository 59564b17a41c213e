"""conf/ and overrides to Settings: layers are merged and interpolated by OmegaConf, then read into the schema."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from devai_tasks.config import layers as sources
from devai_tasks.config import reader
from devai_tasks.config.document import Key, Tree
from devai_tasks.config.layers import Layer
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings, rules
from devai_tasks.config.stack import Stack
from devai_tasks.errors import ConfigError, Problem, nearest


def load(
    project: Project,
    stack: Stack,
    overrides: Sequence[str] = (),
    *,
    gpu: bool = False,
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """The settings of a stack.

    `overrides` are `section.key=value` texts of the command line. Raises ConfigError with all problems at once, each
    with its place.
    """
    loading = _Loading(stack, sources.of_stack(project, stack, overrides, gpu, environ))
    loading.check_shapes()
    return loading.settings()


@dataclass
class _Loading:
    """The steps of one load; problems gather until a step can't go on with them."""

    stack: Stack
    layers: Sequence[Layer]

    def __post_init__(self) -> None:
        self.problems: list[Problem] = []

    def check_shapes(self) -> None:
        """Note what is wrong in single layers; stop where they can't be merged."""
        readable = True
        for layer in self.layers:
            for name in sources.builtin(self.stack).keys() & layer.tree.keys():
                problem = Problem(layer.place((name,)), name, "is not set but known: it follows from --env and --cloud")
                self.problems.append(problem)
            if layer.locks and layer.tree.get("protected", "false") not in ("true", "false"):
                # Read before anything is merged, because it decides what is.
                self.report(layer.tree, layer.place, ("protected",), "true or false, written out")
            if "protected" in layer.tree and not layer.locks:
                remedy = "only a file that everybody shares protects a stack, or not: conf/profiles, conf/stacks"
                self.problems.append(Problem(layer.place(("protected",)), "protected", remedy))
            tree = {name: value for name, value in layer.tree.items() if name not in sources.builtin(self.stack)}
            readable &= reader.check_shape(Settings, tree, (), partial(self.report, layer.tree, layer.place))
            readable &= self.check_interpolations(layer)
        if not readable:
            self.stop_at_problems()

    def settings(self) -> Settings:
        """The typed settings, or all problems of this step and of those before."""
        merged = self.merge()
        known = len(self.problems)
        report = partial(self.report, OmegaConf.to_container(merged, resolve=False), self.place)
        tree = {name: self.resolve(merged, name, (name,), report) for name in reader.fields(Settings) if name in merged}
        self.stop_at_problems(beyond=known)
        # Again, because an interpolation may have brought a map where the schema has a list.
        if not reader.check_shape(Settings, tree, (), report):
            self.stop_at_problems()
        settings: Settings = reader.read(Settings, tree, (), report, stack=self.stack)
        self.stop_at_problems()
        for key, allowed in rules(settings):
            report(key, allowed)
        self.stop_at_problems()
        return settings

    def merge(self) -> DictConfig:
        trees = [sources.builtin(self.stack), reader.defaults(Settings)]
        trees += [layer.tree for layer in self.layers]
        return cast("DictConfig", OmegaConf.merge(*(OmegaConf.create(tree) for tree in trees)))

    def report(self, written: Any, place: Callable[[Key], str], key: Key, allowed: str) -> None:
        """Note a problem, with what was written at the key and where."""
        self.problems.append(Problem(place(key), _quote(key, _at(written, key)), allowed))

    def check_interpolations(self, layer: Layer) -> bool:
        """Note malformed ones, which OmegaConf would refuse without saying where they stand; whether there are none."""
        known = len(self.problems)
        for key, text in _scalars(layer.tree, ()):
            if text == "???":  # to OmegaConf a value that is still to come, which sets nothing
                self.problems.append(Problem(layer.place(key), _quote(key, text), "has no value"))
            if "${" not in text:
                continue
            try:
                OmegaConf.create([text])
            except OmegaConfBaseException as error:
                self.problems.append(Problem(layer.place(key), _quote(key, text), _first_line(error)))
        return len(self.problems) == known

    def resolve(self, node: DictConfig | ListConfig, name: Any, key: Key, report: reader.Report) -> Tree:
        """The tree below `node[name]` with interpolations replaced; reports those that lead nowhere."""
        try:
            value = node[name]
        except (OmegaConfBaseException, RecursionError) as error:
            report(key, _why_unresolved(error, node))
            return None
        if isinstance(value, DictConfig):
            return {str(child): self.resolve(value, child, (*key, str(child)), report) for child in value}
        if isinstance(value, ListConfig):
            return [self.resolve(value, index, (*key, index), report) for index in range(len(value))]
        return None if value is None else str(value)

    def place(self, key: Key) -> str:
        """Where the strongest layer that has `key`, or else the section around it, sets it."""
        for length in range(len(key), 0, -1):
            if isinstance(key[length - 1], int):
                continue  # a list is set as a whole
            for layer in reversed(self.layers):
                if key[:length] in layer.places:
                    return layer.place(key)
        return f"conf/common/{key[0]}.yaml"

    def stop_at_problems(self, *, beyond: int = 0) -> None:
        """Raise all problems, where there are more than those that the next step can go on with."""
        if len(self.problems) > beyond:
            raise ConfigError(self.problems)


def _scalars(tree: Tree, key: Key) -> list[tuple[Key, str]]:
    if isinstance(tree, dict):
        return [found for name, value in tree.items() for found in _scalars(value, (*key, name))]
    if isinstance(tree, list):
        return [found for index, value in enumerate(tree) for found in _scalars(value, (*key, index))]
    return [] if tree is None else [(key, tree)]


def _at(tree: Any, key: Key) -> Any:
    """What stands at `key`, or None."""
    for part in key:
        try:
            tree = tree[part]
        except (KeyError, IndexError, TypeError):
            return None
    return tree


def _quote(key: Key, value: Any) -> str:
    dotted = ".".join(map(str, key))
    return f"{dotted} = {value}" if isinstance(value, str) else dotted


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0]


def _why_unresolved(error: BaseException, node: DictConfig | ListConfig) -> str:
    if isinstance(error, RecursionError):
        return "leads back to itself"
    message = _first_line(error)
    missing = message.removeprefix("Interpolation key ").split("'")
    if message.startswith("Interpolation key '") and len(missing) > 1:
        root = node._get_root()  # noqa: SLF001 - the public API has no way up
        keys = [".".join(map(str, key)) for key, _ in _scalars(OmegaConf.to_container(root, resolve=False), ())]  # type: ignore[arg-type]
        return f"no key {missing[1]} to take it from{nearest(missing[1], keys)}"
    return message
