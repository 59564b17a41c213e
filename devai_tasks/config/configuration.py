"""The configuration of one stack: its settings, and where each of them comes from."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from devai_tasks.config import plain, reader, secrets, variables
from devai_tasks.config.document import Key, Tree
from devai_tasks.config.fields import Pending
from devai_tasks.config.interpolation import interpolations
from devai_tasks.config.layers import Layer
from devai_tasks.config.schema import Settings
from devai_tasks.system.errors import UsageError, unknown

# Names of RFC 2606, networks of RFC 5737, accounts of the providers' own documentation: nobody's, so that nothing can
# be made with them.
_DOCUMENTATION = re.compile(
    r"\bexample\.(com|net|org)\b|\b(192\.0\.2|198\.51\.100|203\.0\.113)\.\d+\b"
    r"|//example\.vault\.azure\.net/|^123456789012$|^0{8}-0{4}-0{4}-0{4}-0{12}$|^example-project$"
)


Observe = Callable[[Settings], Mapping[Key, Collection[str]]]
"""Tells the artifacts of a stack by the keys that are read for each."""


@dataclass(frozen=True)
class Origin:
    """Where a layer gives a key a value, and the value as it stands there."""

    layer: str
    place: str
    written: str


@dataclass(frozen=True)
class Explanation:
    """All that is known of one key of a stack."""

    key: str
    value: str
    origins: tuple[Origin, ...]
    """Strongest first: the first one counts, and has overridden the others."""
    takes: tuple[Explanation, ...]
    """The keys that its value takes in, where it was interpolated."""
    outside: tuple[str, ...]
    """What else it takes in: variables of the environment, secrets."""


@dataclass(frozen=True)
class Configuration:
    """What the layers say about a stack."""

    settings: Settings
    layers: tuple[Layer, ...]
    merged: DictConfig
    """The layers as one."""
    pending: tuple[Key, ...]
    """Keys that only a deployment knows, and whose values here are placeholders."""
    observe: Observe

    @cached_property
    def written(self) -> dict[str, Any]:
        """The merged layers before interpolation."""
        return as_written(self.merged)

    @cached_property
    def plain(self) -> dict[str, Any]:
        """The settings as plain values, to show; what takes in a variable of the environment, as it is written."""
        tree: dict[str, Any] = plain.tree(self.settings)
        for key, _ in list(scalars(tree, ())):
            if key[0] != "secrets" and self.variables(key):
                written = at(self.written, key)
                at(tree, key[:-1])[key[-1]] = written if isinstance(written, str) else secrets.MASK
        return tree

    def variables(self, key: Key) -> frozenset[str]:
        """The variables of this machine's environment that are part of a value, by itself or through other keys."""
        found: set[str] = set()
        seen, waiting = set(), [key]
        while waiting:
            key = waiting.pop()
            if key not in seen:
                seen.add(key)
                for text in self._texts(key):
                    found |= {name for name in variables.names(text) if name in os.environ}
                    waiting += _references(text, key)[0]
        return frozenset(found)

    def why_unvisited(self, *keys: Key) -> str:
        """Why a task that only looks does not contact the address at keys; empty where it may."""
        for key in keys:
            if names := self.variables(key):
                return (
                    f"{dotted(key)} takes in {', '.join(sorted(names))} of the environment, so a task that only looks "
                    "contacts no such address"
                )
        return ""

    def _texts(self, key: Key) -> list[str]:
        """What is written at a key: of a map, a list or a part of one that isn't found, all that is in it.

        For a section, and for a map, another key may be written instead.
        """
        for length in range(len(key), 0, -1):
            written = at(self.written, key[:length])
            if isinstance(written, str):
                return [written]
            if isinstance(written, (Mapping, list)) and key[:length] in reader.leaves(Settings):
                return [text for _, text in scalars(written, ())]
        return []

    @cached_property
    def undecided(self) -> tuple[Key, ...]:
        """Keys that have a value of the documentation, where a person must choose one before anything is made of it."""
        return tuple(
            key
            for key, value in scalars(self.plain, ())
            if key not in self.pending
            and _DOCUMENTATION.search(value)
            and not all(file.startswith("compose/") for file in self.affected(key))
        )

    def to_deploy(self, *needed: Key, before: Collection[str] = ()) -> Settings:
        """The settings, for tasks that make something of them; `needed` are the keys that matter, none for all.

        Raises UsageError while one is pending or undecided, with the task or the file to go to; pending values that the
        tasks in `before` make are not missed.
        """
        wanted = [key for key in self.pending if key in needed] if needed else self.missed
        missing = self._placeholders(wanted, before)
        undecided = [
            f"{dotted(key)} = {self.explain(key).value} stands for a value of yours ({self.origins(key)[0].place})"
            for key in self.undecided
            if key in (needed or self.undecided)
        ]
        if missing or undecided:
            # The tasks that make pending values are refused as well while one is undecided.
            code = "DEVAI-CONFIG-003" if undecided else "DEVAI-CONFIG-002"
            refusal = f"{self.settings.stack} can't be deployed; nothing was changed"
            raise UsageError("\n".join([*missing, *undecided, refusal]), code=code)
        return self.settings

    @property
    def placeholders(self) -> list[str]:
        """The pending values, each with what makes it."""
        return self._placeholders(self.missed)

    @property
    def missed(self) -> list[Key]:
        """Pending keys that are of concern to this stack, as it is configured."""
        return [key for key in self.pending if self.affected(key) or self.tasks(key)]

    def _placeholders(self, keys: Sequence[Key], before: Collection[str] = ()) -> list[str]:
        tasks = {key: self.why_pending(key).task for key in keys}
        return [f"{dotted(key)} is not known before `inv {task}`" for key, task in tasks.items() if task not in before]

    def why_pending(self, key: Key) -> Pending:
        """What makes a pending key, and its placeholder."""
        pending = reader.leaves(Settings)[key].meta.pending
        assert pending  # noqa: S101 - only such keys are in `pending`
        return pending

    def affected(self, key: Key) -> frozenset[str]:
        """Return the artifacts of the stack for which a key is read, by itself or by keys that take it in."""
        keys, waiting = set(), [key]
        while waiting:
            key = waiting.pop()
            if key not in keys:
                keys.add(key)
                waiting += self._taken_by.get(key, ())
        return frozenset().union(*(self._affected.get(_setting(one), ()) for one in keys))

    @cached_property
    def _affected(self) -> Mapping[Key, Collection[str]]:
        return self.observe(self.settings)

    @cached_property
    def _taken_by(self) -> dict[Key, list[Key]]:
        """For each key, those whose values take it in."""
        takers: dict[Key, list[Key]] = defaultdict(list)
        for place, text in scalars(self.written, ()):
            taker = _of_names(place)
            if taker[0] in reader.fields(Settings):
                for taken in _references(text, taker)[0]:
                    takers[taken] += _below(taker)
        return takers

    def tasks(self, key: Key) -> str:
        """What a key decides beside artifacts."""
        return _entry(key).meta.tasks

    def keys(self, name: str) -> list[Key]:
        """The keys with a value that a dotted name means: one, or all of a section; all there are for an empty name.

        Raises UsageError where there is none.
        """
        every: list[Key] = []
        for key in reader.leaves(Settings):
            value = at(self.plain, key)
            # The entries of a map are keys of their own; a list is one value.
            every += [(*key, entry) for entry in value] if isinstance(value, dict) and value else [key]
        wanted = tuple(reader.split(Settings, name)) if name else ()
        chosen = [key for key in every if key[: len(wanted)] == wanted]
        if not chosen:
            known = {dotted(key[:length]) for key in every for length in range(1, len(key) + 1)}
            raise UsageError(unknown("key", name, _siblings(name, known)))
        return sorted(chosen)

    def explain(self, key: Key) -> Explanation:
        """Where the value of a key comes from, through all that it takes in."""
        return self._explain(key, ())

    def _explain(self, key: Key, above: Sequence[Key]) -> Explanation:
        origins = self.origins(key)
        written = origins[0].written if origins else ""
        taken, outside = _references(written, key)
        return Explanation(
            dotted(key),
            _shown(at(self.plain, key)),
            origins,
            tuple(self._explain(other, (*above, key)) for other in taken if other not in (*above, key)),
            outside,
        )

    def origins(self, key: Key) -> tuple[Origin, ...]:
        """Every layer that gives the key, or the section around it, a value; strongest first."""
        found = []
        for layer in reversed(self.layers):
            for length in range(len(key), 0, -1):
                value = at(layer.tree, key[:length])
                if value is ... or (length < len(key) and isinstance(value, dict)):
                    continue
                found.append(Origin(layer.name, layer.place(key[:length]), _written(key, value)))
                break
        entry = reader.leaves(Settings).get(key)
        if key in self.pending:
            task = self.why_pending(key).task
            found.append(Origin("placeholder", f"`inv {task}` makes the value", self.why_pending(key).placeholder))
        elif entry and entry.default is not None:
            found.append(Origin("schema", "default", _written(key, entry.default)))
        return tuple(found)


def dotted(key: Key) -> str:
    """A key as people write it."""
    return ".".join(map(str, key))


def as_written(merged: DictConfig) -> dict[str, Any]:
    """Plain values, with interpolations as they stand."""
    return cast("dict[str, Any]", OmegaConf.to_container(merged, resolve=False))


def at(tree: Any, key: Key) -> Any:
    """What stands at `key`, or `...` where nothing does; None is a value that was written."""
    for part in key:
        if isinstance(tree, str):
            return ...  # has parts too, but no keys
        try:
            tree = tree[part]
        except (KeyError, IndexError, TypeError):
            return ...
    return tree


def scalars(tree: Tree | Mapping[str, Any], key: Key) -> Iterator[tuple[Key, str]]:
    """Every text of a tree with its key."""
    if isinstance(tree, Mapping):
        for name, value in tree.items():
            yield from scalars(value, (*key, name))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from scalars(value, (*key, index))
    elif tree is not None:
        yield key, str(tree)


def _of_names(key: Key) -> Key:
    return tuple(part for part in key if isinstance(part, str))


def _setting(key: Key) -> Key:
    """Return a key of the schema: itself, or the map or list that it is in."""
    return next(path for path in reader.leaves(Settings) if key[: len(path)] == path)


def _entry(key: Key) -> reader.Entry:
    """Return what the schema says of a key, or of the map or list that it is in."""
    return reader.leaves(Settings)[_setting(key)]


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(str, value))}]"
    return "" if value is None else str(value)


def _written(key: Key, value: Any) -> str:
    """A value as it stands in a layer; one that is overridden need not be valid, so under `secrets` it may be any."""
    return secrets.masked(_shown(value)) if key[0] == "secrets" else _shown(value)


def key_references(written: str, key: Key) -> Iterator[tuple[str, Key]]:
    """What stands between `${` and `}` in a text at `key`, and the key that it names."""
    for name in [found.name for found in interpolations(written) if found.argument is None]:
        dots = len(name) - len(name.lstrip("."))
        around = key[: len(key) - dots] if dots else ()
        yield name, (*around, *name.lstrip(".").split("."))


def _references(written: str, key: Key) -> tuple[list[Key], tuple[str, ...]]:
    """What a text takes in: keys, and what is outside of the configuration."""
    keys: list[Key] = []
    outside = []
    for name, path in key_references(written, key):
        if path[0] in reader.fields(Settings):
            keys += _below(path)
        else:
            outside.append(f"{name}, which follows from --env and --cloud or from this machine")
    for found in interpolations(written):
        if found.argument is not None:
            words = {"oc.env": "environment variable", "secret": "secret"}.get(found.name, found.name)
            outside.append(f"{words} {found.argument}")
    return keys, tuple(outside)


def _below(path: Key) -> list[Key]:
    """The keys that a reference means: itself, or those of the section that it names."""
    return [key for key in reader.leaves(Settings) if key[: len(path)] == path] or [path]


def _siblings(name: str, known: set[str]) -> list[str]:
    """Names as deep as a mistyped one, in its section where that is right."""
    section = name.rpartition(".")[0]
    near = {other for other in known if other.rpartition(".")[0] == section}
    return sorted(near or {other for other in known if "." not in other})
