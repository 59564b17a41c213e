"""Configuration of one stack: its settings and their provenance."""

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

# Example values, which cannot be deployed: names of RFC 2606, networks of RFC 5737, accounts in the documentation of
# the providers.
_EXAMPLES = re.compile(
    r"\bexample\.(com|net|org)\b|\b(192\.0\.2|198\.51\.100|203\.0\.113)\.\d+\b"
    r"|//example\.vault\.azure\.net/|^123456789012$|^0{8}-0{4}-0{4}-0{4}-0{12}$|^example-project$"
)


Observe = Callable[[Settings], Mapping[Key, Collection[str]]]
"""Returns the artifacts of a stack by key: those for which the key is read."""


@dataclass(frozen=True)
class Origin:
    """A layer that sets a key, with the location and the unresolved value."""

    layer: str
    place: str
    written: str


@dataclass(frozen=True)
class Explanation:
    """Provenance of one key of a stack."""

    key: str
    value: str
    origins: tuple[Origin, ...]
    """Strongest first: the first one is effective and overrides the others."""
    takes: tuple[Explanation, ...]
    """The keys that the value refers to."""
    outside: tuple[str, ...]
    """Other references of the value: environment variables and secrets."""


@dataclass(frozen=True)
class Configuration:
    """The merged and validated configuration of a stack."""

    settings: Settings
    layers: tuple[Layer, ...]
    merged: DictConfig
    """The merged layers."""
    pending: tuple[Key, ...]
    """Keys whose values are placeholders until a deployment sets them."""
    observe: Observe

    @cached_property
    def written(self) -> dict[str, Any]:
        """The merged layers before interpolation."""
        return as_written(self.merged)

    @cached_property
    def plain(self) -> dict[str, Any]:
        """The settings as plain values for output; values with environment variables are unresolved."""
        tree: dict[str, Any] = plain.tree(self.settings)
        for key, _ in list(scalars(tree, ())):
            if key[0] != "secrets" and self.variables(key):
                written = at(self.written, key)
                at(tree, key[:-1])[key[-1]] = written if isinstance(written, str) else secrets.MASK
        return tree

    def variables(self, key: Key) -> frozenset[str]:
        """Return the environment variables that a value refers to, directly or through other keys."""
        result: set[str] = set()
        seen, waiting = set(), [key]
        while waiting:
            key = waiting.pop()
            if key not in seen:
                seen.add(key)
                for text in self._texts(key):
                    result |= {name for name in variables.names(text) if name in os.environ}
                    waiting += _references(text, key)[0]
        return frozenset(result)

    def why_unvisited(self, *keys: Key) -> str:
        """Return the reason why a read-only task must not contact the address at keys; empty if it may."""
        for key in keys:
            if names := self.variables(key):
                return (
                    f"{dotted(key)} contains the environment variable {', '.join(sorted(names))}; a read-only task "
                    "does not contact such an address"
                )
        return ""

    def _texts(self, key: Key) -> list[str]:
        """Return the unresolved texts at a key: of a map or a list, or of one that contains the key, all texts.

        A section or a map can also be set by a single reference to another key.
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
        """Keys with an example value that the user must replace before a deployment."""
        return tuple(
            key
            for key, value in scalars(self.plain, ())
            if key not in self.pending
            and _EXAMPLES.search(value)
            and not all(file.startswith("compose/") for file in self.affected(key))
        )

    def to_deploy(self, *needed: Key, before: Collection[str] = ()) -> Settings:
        """Return the settings for a deployment.

        Args:
            needed: Keys that the deployment needs; none for all.
            before: Tasks that run before, whose pending values may still be placeholders.

        Raises:
            UsageError: A key has a placeholder or an example value; the message has the task or the file that sets it.
        """
        pending = [key for key in self.pending if key in needed] if needed else self.unresolved
        missing = self._placeholders(pending, before)
        undecided = [
            f"{dotted(key)} = {self.explain(key).value} is an example; set your own value "
            f"({self.origins(key)[0].place})"
            for key in self.undecided
            if key in (needed or self.undecided)
        ]
        if missing or undecided:
            # Tasks that set pending values are also refused while a key has an example value.
            code = "DEVAI-CONFIG-003" if undecided else "DEVAI-CONFIG-002"
            refusal = f"{self.settings.stack} cannot be deployed; nothing was changed"
            raise UsageError("\n".join([*missing, *undecided, refusal]), code=code)
        return self.settings

    @property
    def placeholders(self) -> list[str]:
        """Messages about keys with placeholders, each with the task that sets the value."""
        return self._placeholders(self.unresolved)

    @property
    def unresolved(self) -> list[Key]:
        """Keys with placeholders that the stack uses, as it is configured."""
        return [key for key in self.pending if self.affected(key) or self.tasks(key)]

    def _placeholders(self, keys: Sequence[Key], before: Collection[str] = ()) -> list[str]:
        tasks = {key: self.why_pending(key).task for key in keys}
        return [f"{dotted(key)} is not known before `inv {task}`" for key, task in tasks.items() if task not in before]

    def why_pending(self, key: Key) -> Pending:
        """Return the task that sets a pending key, and its placeholder."""
        pending = reader.leaves(Settings)[key].meta.pending
        assert pending  # noqa: S101 - only such keys are in `pending`
        return pending

    def affected(self, key: Key) -> frozenset[str]:
        """Return the artifacts of the stack that a key affects, directly or through keys that refer to it."""
        keys, waiting = set(), [key]
        while waiting:
            key = waiting.pop()
            if key not in keys:
                keys.add(key)
                waiting += self._referrers.get(key, ())
        return frozenset().union(*(self._affected.get(_setting(key), ()) for key in keys))

    @cached_property
    def _affected(self) -> Mapping[Key, Collection[str]]:
        return self.observe(self.settings)

    @cached_property
    def _referrers(self) -> dict[Key, list[Key]]:
        """For each key, the keys whose values refer to it."""
        referrers: dict[Key, list[Key]] = defaultdict(list)
        for path, text in scalars(self.written, ()):
            referrer = _without_indexes(path)
            if referrer[0] in reader.fields(Settings):
                for key in _references(text, referrer)[0]:
                    referrers[key] += _below(referrer)
        return referrers

    def tasks(self, key: Key) -> str:
        """Return what a key decides apart from artifacts."""
        return _entry(key).meta.tasks

    def keys(self, name: str) -> list[Key]:
        """Return the keys with a value that a dotted name selects.

        Args:
            name: Name of a key, of a section for all its keys, or empty for all keys.

        Raises:
            UsageError: No key has that name.
        """
        every: list[Key] = []
        for key in reader.leaves(Settings):
            value = at(self.plain, key)
            # Each entry of a map is a key; a list is one value.
            every += [(*key, entry) for entry in value] if isinstance(value, dict) and value else [key]
        prefix = tuple(reader.split(Settings, name)) if name else ()
        selected = [key for key in every if key[: len(prefix)] == prefix]
        if not selected:
            known = {dotted(key[:length]) for key in every for length in range(1, len(key) + 1)}
            raise UsageError(unknown("key", name, _siblings(name, known)))
        return sorted(selected)

    def explain(self, key: Key) -> Explanation:
        """Return the provenance of a key's value, including that of the keys that it refers to."""
        return self._explain(key, ())

    def _explain(self, key: Key, above: Sequence[Key]) -> Explanation:
        origins = self.origins(key)
        written = origins[0].written if origins else ""
        references, outside = _references(written, key)
        return Explanation(
            dotted(key),
            _shown(at(self.plain, key)),
            origins,
            tuple(self._explain(referred, (*above, key)) for referred in references if referred not in (*above, key)),
            outside,
        )

    def origins(self, key: Key) -> tuple[Origin, ...]:
        """Return all layers that set the key or a parent of it, strongest first."""
        result = []
        for layer in reversed(self.layers):
            for length in range(len(key), 0, -1):
                value = at(layer.tree, key[:length])
                if value is ... or (length < len(key) and isinstance(value, dict)):
                    continue
                result.append(Origin(layer.name, layer.location(key[:length]), _written(key, value)))
                break
        entry = reader.leaves(Settings).get(key)
        if key in self.pending:
            task = self.why_pending(key).task
            result.append(Origin("placeholder", f"`inv {task}` sets the value", self.why_pending(key).placeholder))
        elif entry and entry.default is not None:
            result.append(Origin("schema", "default", _written(key, entry.default)))
        return tuple(result)


def dotted(key: Key) -> str:
    """Return a key in dotted notation."""
    return ".".join(map(str, key))


def as_written(merged: DictConfig) -> dict[str, Any]:
    """Return plain values with unresolved interpolations."""
    return cast("dict[str, Any]", OmegaConf.to_container(merged, resolve=False))


def at(tree: Any, key: Key) -> Any:
    """Return the value at `key`, or `...` if there is none; None is an explicit null."""
    for part in key:
        if isinstance(tree, str):
            return ...  # a string can be indexed, but has no keys
        try:
            tree = tree[part]
        except (KeyError, IndexError, TypeError):
            return ...
    return tree


def scalars(tree: Tree | Mapping[str, Any], key: Key) -> Iterator[tuple[Key, str]]:
    """Yield all scalars of a tree as strings, with their keys."""
    if isinstance(tree, Mapping):
        for name, value in tree.items():
            yield from scalars(value, (*key, name))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from scalars(value, (*key, index))
    elif tree is not None:
        yield key, str(tree)


def _without_indexes(key: Key) -> Key:
    return tuple(part for part in key if isinstance(part, str))


def _setting(key: Key) -> Key:
    """Return the key of the schema for a key: itself, or the map or list that contains it."""
    return next(path for path in reader.leaves(Settings) if key[: len(path)] == path)


def _entry(key: Key) -> reader.Entry:
    """Return the schema entry of a key, or of the map or list that contains it."""
    return reader.leaves(Settings)[_setting(key)]


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(str, value))}]"
    return "" if value is None else str(value)


def _written(key: Key, value: Any) -> str:
    """Return the unresolved value in a layer; under `secrets` masked, because an overridden value may be invalid."""
    return secrets.masked(_shown(value)) if key[0] == "secrets" else _shown(value)


def key_references(written: str, key: Key) -> Iterator[tuple[str, Key]]:
    """Yield the name in each `${name}` of a text at `key`, and the key that it refers to."""
    for name in [item.name for item in interpolations(written) if item.argument is None]:
        dots = len(name) - len(name.lstrip("."))
        parent = key[: len(key) - dots] if dots else ()
        yield name, (*parent, *name.lstrip(".").split("."))


def _references(written: str, key: Key) -> tuple[list[Key], tuple[str, ...]]:
    """Return the references of a text: keys, and descriptions of references outside of the configuration."""
    keys: list[Key] = []
    outside = []
    for name, path in key_references(written, key):
        if path[0] in reader.fields(Settings):
            keys += _below(path)
        else:
            outside.append(f"{name}, from --env, --cloud or this machine")
    for item in interpolations(written):
        if item.argument is not None:
            kind = {"oc.env": "environment variable", "secret": "secret"}.get(item.name, item.name)
            outside.append(f"{kind} {item.argument}")
    return keys, tuple(outside)


def _below(path: Key) -> list[Key]:
    """Return the keys that a reference selects: itself, or all keys of a section."""
    return [key for key in reader.leaves(Settings) if key[: len(path)] == path] or [path]


def _siblings(name: str, known: set[str]) -> list[str]:
    """Return known names as deep as a mistyped one, in the same section if that exists."""
    section = name.rpartition(".")[0]
    siblings = {candidate for candidate in known if candidate.rpartition(".")[0] == section}
    return sorted(siblings or {candidate for candidate in known if "." not in candidate})
