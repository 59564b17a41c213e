"""Loads the configuration of a stack from conf/ and overrides.

OmegaConf merges and interpolates the layers; the reader converts the result to the schema's classes. Each step removes
invalid values and collects the problems, so that the next step can continue and all problems are reported at once.
"""

from __future__ import annotations

import os
import pickle
import typing
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache, cached_property, lru_cache, partial
from types import MappingProxyType
from typing import Any, Protocol, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from devai_tasks.config import layers as sources
from devai_tasks.config import reader, secrets, variables
from devai_tasks.config.configuration import Configuration, as_written, at, key_references, scalars
from devai_tasks.config.document import Key, Tree
from devai_tasks.config.fields import Known
from devai_tasks.config.interpolation import interpolations
from devai_tasks.config.layers import Files, Layer
from devai_tasks.config.project import Project
from devai_tasks.config.rules import RULES, Mistake, mistakes
from devai_tasks.config.schema import Settings
from devai_tasks.config.stack import Stack
from devai_tasks.config.variables import Refusal
from devai_tasks.system.errors import ConfigError, Problem, nearest

_NOTHING: Mapping[str, str] = MappingProxyType({})
# Message for any other interpolation.
_INTERPOLATIONS = "write ${section.key} or ${oc.env:NAME,default}, and \\${ for a literal ${"
OmegaConf.register_resolver("secret", secrets.reference, replace=True)


class Deployment(Protocol):
    """Interface of the deployment code that loading a configuration needs."""

    def mistakes(self, settings: Settings) -> Iterable[Mistake]:
        """Return the mistakes in the settings of a stack."""

    def unknown(self, known: Known) -> Collection[str]:
        """Return the keys whose values are only known after a deployment; `known` returns the values of other keys."""

    def affected(self, settings: Settings) -> Mapping[Key, Collection[str]]:
        """Return the artifacts of a stack by key: those for which the key is read."""


class _NoDeployment:
    """Implementation for a configuration that is not deployed or rendered."""

    def mistakes(self, settings: Settings) -> Iterable[Mistake]:
        return mistakes(RULES, settings)

    def unknown(self, _: Known) -> Collection[str]:
        return ()

    def affected(self, _: Settings) -> Mapping[Key, Collection[str]]:
        return {}


class Sources:
    """All layers of a project. Each file is read once.

    Args:
        project: Project whose files are read.
        environ: Environment variables.
        replaced: Texts to use instead of files, by path in the project.
        deployment: Deployment code with more rules; without it, only the rules of all stacks apply.
    """

    def __init__(
        self,
        project: Project,
        environ: Mapping[str, str] = os.environ,
        *,
        replaced: Mapping[str, str] = _NOTHING,
        deployment: Deployment | None = None,
    ) -> None:
        self.project = project
        self._deployment = deployment or _NoDeployment()
        self.files = Files(project, replaced)
        self._variables = sources.variables(environ, reader.maps(Settings))
        self._passwords = variables.with_password(os.environ)  # OmegaConf resolves `oc.env` from os.environ

    def configuration(
        self, stack: Stack, overrides: Sequence[str] = (), *, gpu: bool = False, shared_only: bool = False
    ) -> Configuration:
        """Return the configuration of a stack.

        Args:
            stack: Stack to load.
            overrides: `section.key=value` texts of the command line.
            gpu: Whether `--gpu` is set.
            shared_only: Whether to ignore the layers of one user.

        Raises:
            ConfigError: The configuration is invalid; the error has all problems with their locations.
        """
        common = self.files.common()
        flags = sources.flags(overrides, gpu=gpu, split=partial(reader.split, Settings))
        specific = [*self.files.of_stack(stack), self._variables, flags]
        if shared_only:
            specific = [layer for layer in specific if layer.kind not in sources.PERSONAL_KINDS]
        shared = _merged(tuple(common), self._declared, self._passwords)
        # Unpickling a copy takes an eighth of the time that copying by `OmegaConf.merge` takes.
        merged: DictConfig = pickle.loads(shared)  # noqa: S301 - pickled by `_merged`
        merged.merge_with(sources.builtin(stack), *(self._cleaned(layer)[0] for layer in specific))
        layers = [*common, *specific]
        problems = self.project.conflicts(stack)
        problems += [problem for layer in layers for problem in self._cleaned(layer)[1]]
        stack = replace(stack, changes=sources.flags_text(overrides, gpu=gpu))
        return _Reading(stack, layers, merged, problems, self._deployment).configuration()

    def stack(self, env: str = "", cloud: str = "", overrides: Sequence[str] = ()) -> Stack:
        """Return the stack that flags select, or that `defaults` in the configuration selects without flags.

        Raises:
            ConfigError: The environment or cloud is unknown; the error also has the problems of the flags and of the
                layers that all stacks share.
        """
        choosing = [*self.files.common(), *self.files.personal(), self._variables]
        chosen, locations = {"env": env, "cloud": cloud}, {}
        for layer in choosing:
            for name in ("env", "cloud"):
                value = _chosen(self._cleaned(layer)[0], name)
                if value and not {"env": env, "cloud": cloud}[name]:
                    chosen[name], locations[name] = value, layer.location(("defaults", name))
        try:
            return self.project.stack(chosen["env"], chosen["cloud"], locations=locations)
        except ConfigError as error:
            flags = sources.flags(overrides, gpu=False, split=partial(reader.split, Settings))
            others = [problem for layer in [*choosing, flags] for problem in self._cleaned(layer)[1]]
            raise ConfigError([*error.problems, *others]) from error

    @cached_property
    def _declared(self) -> frozenset[str]:
        """The environment variables that values may refer to."""
        values = [at(layer.tree, ("variables",)) for layer in self.files.common()]
        return variables.SHIPPED | {str(name) for value in values if isinstance(value, list) for name in value}

    def _cleaned(self, layer: Layer) -> tuple[DictConfig, list[Problem]]:
        return _cleaned(layer, self._declared, self._passwords)


# A run may load the same files several times: before and after an edit or a deployment.
@lru_cache(maxsize=1024)
def _cleaned(layer: Layer, declared: frozenset[str], passwords: frozenset[str]) -> tuple[DictConfig, list[Problem]]:
    """Return a layer without invalid parts, for merging, and the problems of these parts. Callers change neither."""
    tree, problems = _clean(layer, declared, passwords)
    return OmegaConf.create(tree), problems


@lru_cache(maxsize=64)
def _merged(common: tuple[Layer, ...], declared: frozenset[str], passwords: frozenset[str]) -> bytes:
    """Return the defaults merged with the layers that all stacks share, pickled."""
    defaults = OmegaConf.create(reader.defaults(Settings))
    return pickle.dumps(OmegaConf.merge(defaults, *(_cleaned(layer, declared, passwords)[0] for layer in common)))


def _chosen(tree: DictConfig, name: str) -> str:
    """Return a layer's value of `defaults`; unresolved if it cannot be resolved."""
    try:
        value = tree.get("defaults", {}).get(name)
    except (OmegaConfBaseException, AttributeError):
        value = at(OmegaConf.to_container(tree, resolve=False), ("defaults", name))
    return str(value or "")


def _clean(
    layer: Layer, declared: Collection[str], passwords: Collection[str]
) -> tuple[dict[str, Tree], list[Problem]]:
    problems = [*layer.problems]

    def report(key: Key, allowed: str, *, at_name: bool = False, code: str = "") -> None:
        location = layer.key_location(key) if at_name else layer.location(key)
        problems.append(Problem(location, quote(key, None if at_name else at(layer.tree, key)), allowed, code))

    tree = {}
    for name, value in layer.tree.items():
        if name in sources.BUILTIN:
            report((name,), "cannot be set: it follows from --env, --cloud or this machine", at_name=True)
        else:
            tree[name] = value
    tree = cast("dict[str, Tree]", reader.clean(Settings, tree, (), report))
    for key, text in list(scalars(tree, ())):
        if refusal := _malformed(key, text, declared, passwords):
            report(key, refusal.reason, code=refusal.code)
            _remove(tree, key)
    for key, entry in reader.leaves(Settings).items():
        if entry.meta.layers and layer.kind not in entry.meta.layers and at(tree, key) is not ...:
            report(key, f"cannot be set here, only in: {', '.join(entry.meta.layers)}", at_name=True)
            _remove(tree, key)
    if layer.kind != "flags" and tree.get("protected", "false") not in ("true", "false"):
        # Read before merging, because it determines which layers are merged.
        report(("protected",), "true or false, without interpolation")
        del tree["protected"]
    return tree, problems


def _malformed(key: Key, text: str, declared: Collection[str], passwords: Collection[str]) -> Refusal | None:
    """Return the reason why the interpolations in a text are invalid; None for valid ones.

    OmegaConf would refuse them, too, but without a location. A literal value of a secret is refused even if a stronger
    layer overrides it, and is not quoted, like all invalid values of secrets.
    """
    secret = Refusal(secrets.NO_REFERENCE) if key[0] == "secrets" else None
    if text == "???":  # a missing value to OmegaConf
        return Refusal(reader.NO_VALUE)
    if "${" not in text:
        return secret
    try:
        items = interpolations(text)
    except OmegaConfBaseException:
        return secret or Refusal(_INTERPOLATIONS)
    supported = all(item.is_literal and (item.argument is None or item.name in ("oc.env", "secret")) for item in items)
    if refusal := variables.refusal(text, declared, passwords) if supported else Refusal(_INTERPOLATIONS):
        return secret or refusal
    for name, path in key_references(text, key):
        if text != f"${{{name}}}" and _has_parts(path):
            return secret or Refusal(f"cannot insert {name} into a string: it has more than one value")
    return None


def _has_parts(key: Key) -> bool:
    """Whether a key is a section, a map or a list."""
    entries = reader.leaves(Settings)
    if key in entries:
        return typing.get_origin(entries[key].kind) in (tuple, Mapping)
    return any(path[: len(key)] == key for path in entries)


def _remove(tree: Any, key: Key) -> None:
    """Remove the value at `key`. Remove a list as a whole, because the locations of its other items would shift."""
    while isinstance(key[-1], int):
        key = key[:-1]
    del at(tree, key[:-1])[key[-1]]


class _Reading:
    """Conversion of merged layers to a configuration."""

    def __init__(
        self,
        stack: Stack,
        layers: Sequence[Layer],
        merged: DictConfig,
        problems: Sequence[Problem],
        deployment: Deployment,
    ) -> None:
        self.deployment = deployment
        self.stack = stack
        self.layers = layers
        self.merged = merged
        self.problems = [*problems]
        self.incomplete = bool(problems)
        self.unresolved: set[Key] = set()

    @cached_property
    def written(self) -> dict[str, Any]:
        """The merged layers before interpolation, computed only to report problems."""
        return as_written(self.merged)

    def configuration(self) -> Configuration:
        pending = self.fill_placeholders()
        tree = self.resolved()
        tree = cast("dict[str, Tree]", reader.clean(Settings, tree, (), self.refuse))
        settings: Settings = reader.read(Settings, tree, (), self.report, stack=self.stack)
        if not self.incomplete:  # a removed value leaves that of a weaker layer, which is not what the user configured
            for key, allowed, code in self.deployment.mistakes(settings):
                self.report(key, allowed, code=code)
        if self.problems:
            raise ConfigError(self.problems)
        return Configuration(settings, tuple(self.layers), self.merged, pending, self.deployment.affected)

    def fill_placeholders(self) -> tuple[Key, ...]:
        """Fill in placeholders for values that no deployment has recorded yet, and return their keys."""

        @cache  # keys that are asked for have no placeholders themselves
        def known(section: str, name: str) -> str:
            return _resolved_value(self.merged, (section, name)) or ""

        missing, unknown = [], self.deployment.unknown(known)
        for key, entry in reader.leaves(Settings).items():
            name, pending = ".".join(map(str, key)), entry.meta.pending
            if pending and name in unknown and _resolved_value(self.merged, key) == "":
                OmegaConf.update(self.merged, name, pending.placeholder)
                missing.append(key)
        return tuple(missing)

    def report(self, key: Key, allowed: str, *, at_name: bool = False, code: str = "") -> None:
        """Record a problem with the value at the key and its location."""
        # Values that were removed or not resolved are reported already, and are missing here.
        is_reported = self.incomplete and allowed.startswith(reader.NO_VALUE)
        if not is_reported and not any(key[:length] in self.unresolved for length in range(1, len(key) + 1)):
            location = self.location(key, at_name=at_name)
            self.problems.append(Problem(location, quote(key, at(self.written, key)), allowed, code))

    def refuse(self, key: Key, allowed: str, *, at_name: bool = False) -> None:
        """Record a problem that removes the value at the key; no further problem is reported for the key."""
        self.report(key, allowed, at_name=at_name)
        self.unresolved.add(key)

    def location(self, key: Key, *, at_name: bool = False) -> str:
        """Return the location in the strongest layer that sets `key` or its nearest parent."""
        for length in range(len(key), 0, -1):
            if isinstance(key[length - 1], int):
                continue  # a list is set as a whole
            for layer in reversed(self.layers):
                if key[:length] in layer.locations:
                    return layer.key_location(key) if at_name else layer.location(key)
        return f"conf/common/{key[0]}.yaml:1:1"

    def resolved(self) -> Tree:
        """Return the merged tree with interpolations resolved, and report those that cannot be resolved."""
        names = list(reader.fields(Settings))
        try:
            resolved = cast("dict[str, Any]", OmegaConf.to_container(self.merged, resolve=True))
        except (OmegaConfBaseException, RecursionError):
            pass  # the error does not tell which or how many interpolations failed
        else:
            return {name: _plain(resolved[name]) for name in names if name in resolved}
        return {name: self.resolve(self.merged, name, (name,)) for name in names if name in self.merged}

    def resolve(self, node: Any, name: Any, key: Key) -> Tree:
        """Return the tree at `node[name]` with interpolations resolved."""
        try:
            value = node[name]
        except (OmegaConfBaseException, RecursionError) as error:
            if reason := self.why_unresolved(error):
                self.report(key, secrets.NO_REFERENCE if key[0] == "secrets" else reason)
            self.unresolved.add(key)
            return None
        if OmegaConf.is_dict(value):
            return {str(child): self.resolve(value, child, (*key, str(child))) for child in value}
        if OmegaConf.is_list(value):
            return [self.resolve(value, index, (*key, index)) for index in range(len(value))]
        return None if value is None else str(value)

    def why_unresolved(self, error: BaseException) -> str | None:
        message = str(error)
        parts = message.split("'")
        if isinstance(error, RecursionError) or "Recursive interpolation" in message or "parent node" in message:
            return "refers to itself"
        if "Environment variable '" in message:
            return f"environment variable {parts[1]} is not set; ${{oc.env:{parts[1]},default}} sets a default"
        if not message.startswith("Interpolation key '"):
            return f"cannot be resolved: {_INTERPOLATIONS}"
        if self.incomplete and tuple(parts[1].split(".")) in reader.leaves(Settings):
            return None  # the missing key is reported already
        keys = [".".join(map(str, key)) for key in reader.leaves(Settings)]
        variable = f"; an environment variable is ${{oc.env:{parts[1]}}}" if parts[1].isupper() else ""
        return f"refers to unknown key {parts[1]}{variable or nearest(parts[1], keys)}"


def quote(key: Key, value: Any) -> str:
    """Return a key for messages, with its value if that is a string and not in the section `secrets`."""
    dotted = ".".join(map(str, key))
    return f"{dotted} = {value}" if isinstance(value, str) and key[0] != "secrets" else dotted


def _resolved_value(merged: Any, key: Key) -> str | None:
    """Return a value that is needed before all others; None if it cannot be resolved."""
    try:
        for part in key:
            merged = merged[part]
    except (OmegaConfBaseException, RecursionError, KeyError, TypeError):
        return None
    return str(merged)


def _plain(value: Any) -> Tree:
    """Return values resolved by OmegaConf as strings."""
    if isinstance(value, dict):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return None if value is None else str(value)
