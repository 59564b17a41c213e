"""conf/ and overrides to the configuration of a stack.

OmegaConf merges and interpolates the layers; the reader turns the result into the schema's classes. Problems gather on
the way: what is wrong is taken out, so that the next step can go on and all of them are told at once.
"""

from __future__ import annotations

import os
import pickle
import typing
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache, cached_property, partial
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
# What may be interpolated, where something else is tried.
_INTERPOLATIONS = "write ${section.key} or ${oc.env:NAME,default}, and for a ${ that stays one \\${"
OmegaConf.register_resolver("secret", secrets.reference, replace=True)


class Deployment(Protocol):
    """What loading a configuration has to know of what is made of it."""

    def mistakes(self, settings: Settings) -> Iterable[Mistake]:
        """Return what is wrong between the keys of a stack."""

    def unknown(self, known: Known) -> Collection[str]:
        """Return the keys whose values only a deployment tells, by what is known of others."""

    def affected(self, settings: Settings) -> Mapping[Key, Collection[str]]:
        """Return the artifacts of a stack by the keys that are read for each."""


class _NoDeployment:
    """Of a configuration that nothing is made of."""

    def mistakes(self, settings: Settings) -> Iterable[Mistake]:
        return mistakes(RULES, settings)

    def unknown(self, _: Known) -> Collection[str]:
        return ()

    def affected(self, _: Settings) -> Mapping[Key, Collection[str]]:
        return {}


class Sources:
    """All layers of a project: each file is read once, and what every stack shares is merged once.

    `replaced` are texts that count in place of files, by their names in the project: what would be if they were so.
    `deployment` has the rules of what is made of the settings; without it, only the rules of all stacks hold.
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
        self._clean: dict[str, tuple[Layer, DictConfig, list[Problem]]] = {}
        self._shared: bytes = b""

    def configuration(
        self, stack: Stack, overrides: Sequence[str] = (), *, gpu: bool = False, everybodys: bool = False
    ) -> Configuration:
        """What the layers say about a stack; `everybodys` leaves out those of one person.

        `overrides` are `section.key=value` texts of the command line. Raises ConfigError with all problems at once,
        each with its place.
        """
        common = self.files.common()
        flags = sources.flags(overrides, gpu=gpu, split=partial(reader.split, Settings))
        own = [*self.files.of_stack(stack), self._variables, flags]
        if everybodys:
            own = [layer for layer in own if layer.kind not in sources.PERSONS]
        if not self._shared:
            defaults = OmegaConf.create(reader.defaults(Settings))
            shared = OmegaConf.merge(defaults, *(self._cleaned(layer)[0] for layer in common))
            self._shared = pickle.dumps(shared)
        # A copy to merge into, for an eighth of the time that copying it as `OmegaConf.merge` does would take.
        merged: DictConfig = pickle.loads(self._shared)  # noqa: S301 - from the lines above, and from nowhere else
        merged.merge_with(sources.builtin(stack), *(self._cleaned(layer)[0] for layer in own))
        layers = [*common, *own]
        problems = self.project.conflicts(stack)
        problems += [problem for layer in layers for problem in self._cleaned(layer)[1]]
        meant = replace(stack, changes=sources.words(overrides, gpu=gpu))
        return _Reading(meant, layers, merged, problems, self._deployment).configuration()

    def stack(self, env: str = "", cloud: str = "", overrides: Sequence[str] = ()) -> Stack:
        """The stack that flags mean; for one that wasn't given, `defaults` of the configuration decides.

        Raises ConfigError for an unknown one, with what is wrong in the flags and in the layers of every stack beside.
        """
        choosing = [*self.files.common(), *self.files.personal(), self._variables]
        chosen, places = {"env": env, "cloud": cloud}, {}
        for layer in choosing:
            for name in ("env", "cloud"):
                value = _chosen(self._cleaned(layer)[0], name)
                if value and not {"env": env, "cloud": cloud}[name]:
                    chosen[name], places[name] = value, layer.place(("defaults", name))
        try:
            return self.project.stack(chosen["env"], chosen["cloud"], places=places)
        except ConfigError as error:
            flags = sources.flags(overrides, gpu=False, split=partial(reader.split, Settings))
            others = [problem for layer in [*choosing, flags] for problem in self._cleaned(layer)[1]]
            raise ConfigError([*error.problems, *others]) from error

    @cached_property
    def _declared(self) -> frozenset[str]:
        """The variables of the environment that values may take in."""
        found = [at(layer.tree, ("variables",)) for layer in self.files.common()]
        return variables.SHIPPED | {str(name) for one in found if isinstance(one, list) for name in one}

    def _cleaned(self, layer: Layer) -> tuple[DictConfig, list[Problem]]:
        """A layer without what is wrong in it, to merge; and what that is."""
        known = self._clean.get(layer.name)
        if not known or known[0] is not layer:  # flags are others each time
            tree, problems = _clean(layer, self._declared)
            known = self._clean[layer.name] = (layer, OmegaConf.create(tree), problems)
        return known[1:]


def _chosen(tree: DictConfig, name: str) -> str:
    """What a layer says about the stack that is meant; where that can't be resolved, as it is written."""
    try:
        value = tree.get("defaults", {}).get(name)
    except (OmegaConfBaseException, AttributeError):
        value = at(OmegaConf.to_container(tree, resolve=False), ("defaults", name))
    return str(value or "")


def _clean(layer: Layer, declared: Collection[str]) -> tuple[dict[str, Tree], list[Problem]]:
    problems = [*layer.problems]

    def report(key: Key, allowed: str, *, at_name: bool = False, code: str = "") -> None:
        place = layer.name_place(key) if at_name else layer.place(key)
        problems.append(Problem(place, quote(key, None if at_name else at(layer.tree, key)), allowed, code))

    tree = {}
    for name, value in layer.tree.items():
        if name in sources.BUILTIN:
            report((name,), "is not set but known: it follows from --env and --cloud", at_name=True)
        else:
            tree[name] = value
    tree = cast("dict[str, Tree]", reader.clean(Settings, tree, (), report))
    for key, text in list(scalars(tree, ())):
        if refusal := _malformed(key, text, declared):
            report(key, refusal.reason, code=refusal.code)
            _remove(tree, key)
    for key, entry in reader.leaves(Settings).items():
        if entry.meta.layers and layer.kind not in entry.meta.layers and at(tree, key) is not ...:
            report(key, f"may not be set here, only in: {', '.join(entry.meta.layers)}", at_name=True)
            _remove(tree, key)
    if layer.kind != "flags" and tree.get("protected", "false") not in ("true", "false"):
        # Read before anything is merged, because it decides what is.
        report(("protected",), "true or false, written out")
        del tree["protected"]
    return tree, problems


def _malformed(key: Key, text: str, declared: Collection[str]) -> Refusal | None:
    """Return what is wrong with the interpolations in a text: OmegaConf would refuse it, but without its location.

    A secret's value is refused even where a stronger layer overrides it, and like all that is wrong there not quoted.
    """
    secret = Refusal(secrets.NO_REFERENCE) if key[0] == "secrets" else None
    if text == "???":  # to OmegaConf a value that is still to come, which sets nothing
        return Refusal(reader.NO_VALUE)
    if "${" not in text:
        return secret
    try:
        found = interpolations(text)
    except OmegaConfBaseException:
        return secret or Refusal(_INTERPOLATIONS)
    known = all(one.plain and (one.argument is None or one.name in ("oc.env", "secret")) for one in found)
    if refusal := variables.refusal(text, declared) if known else Refusal(_INTERPOLATIONS):
        return secret or refusal
    for name, path in key_references(text, key):
        if text != f"${{{name}}}" and _has_parts(path):
            return secret or Refusal(f"a text has no room for {name}, which is more than one value")
    return None


def _has_parts(key: Key) -> bool:
    """Whether there is a section, a map or a list of that name."""
    leaves = reader.leaves(Settings)
    if key in leaves:
        return typing.get_origin(leaves[key].kind) in (tuple, Mapping)
    return any(leaf[: len(key)] == key for leaf in leaves)


def _remove(tree: Any, key: Key) -> None:
    """Take out what stands at `key`; of a list the whole, since the places of the others would move."""
    while isinstance(key[-1], int):
        key = key[:-1]
    del at(tree, key[:-1])[key[-1]]


class _Reading:
    """From merged layers to a configuration."""

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
        """The merged layers before interpolation; only who reports something needs them."""
        return as_written(self.merged)

    def configuration(self) -> Configuration:
        pending = self.fill_placeholders()
        tree = self.resolved()
        tree = cast("dict[str, Tree]", reader.clean(Settings, tree, (), self.refuse))
        settings: Settings = reader.read(Settings, tree, (), self.report, stack=self.stack)
        if not self.incomplete:  # a weaker layer's value in place of one that was taken out was not asked for
            for key, allowed, code in self.deployment.mistakes(settings):
                self.report(key, allowed, code=code)
        if self.problems:
            raise ConfigError(self.problems)
        return Configuration(settings, tuple(self.layers), self.merged, pending, self.deployment.affected)

    def fill_placeholders(self) -> tuple[Key, ...]:
        """Fill in placeholders for values that no deployment has recorded yet, and return their keys."""

        @cache  # keys that are asked for have no placeholders themselves
        def known(section: str, name: str) -> str:
            return _known(self.merged, (section, name)) or ""

        missing, unknown = [], self.deployment.unknown(known)
        for key, entry in reader.leaves(Settings).items():
            name, pending = ".".join(map(str, key)), entry.meta.pending
            if pending and name in unknown and _known(self.merged, key) == "":
                OmegaConf.update(self.merged, name, pending.placeholder)
                missing.append(key)
        return tuple(missing)

    def report(self, key: Key, allowed: str, *, at_name: bool = False, code: str = "") -> None:
        """Note a problem, with what was written at the key and where."""
        # What was taken out, or led nowhere, is reported already, and would be missed again here.
        missed = self.incomplete and allowed.startswith(reader.NO_VALUE)
        if not missed and not any(key[:length] in self.unresolved for length in range(1, len(key) + 1)):
            place = self.place(key, at_name=at_name)
            self.problems.append(Problem(place, quote(key, at(self.written, key)), allowed, code))

    def refuse(self, key: Key, allowed: str, *, at_name: bool = False) -> None:
        """Note a problem that leaves no value at the key, which is then no problem more."""
        self.report(key, allowed, at_name=at_name)
        self.unresolved.add(key)

    def place(self, key: Key, *, at_name: bool = False) -> str:
        """Where the strongest layer that has `key`, or else the section around it, sets it."""
        for length in range(len(key), 0, -1):
            if isinstance(key[length - 1], int):
                continue  # a list is set as a whole
            for layer in reversed(self.layers):
                if key[:length] in layer.places:
                    return layer.name_place(key) if at_name else layer.place(key)
        return f"conf/common/{key[0]}.yaml:1:1"

    def resolved(self) -> Tree:
        """The merged tree with interpolations replaced; reports those that lead nowhere."""
        names = list(reader.fields(Settings))
        try:
            whole = cast("dict[str, Any]", OmegaConf.to_container(self.merged, resolve=True))
        except (OmegaConfBaseException, RecursionError):
            pass  # it says neither which one nor how many
        else:
            return {name: _plain(whole[name]) for name in names if name in whole}
        return {name: self.resolve(self.merged, name, (name,)) for name in names if name in self.merged}

    def resolve(self, node: Any, name: Any, key: Key) -> Tree:
        """The tree below `node[name]` with interpolations replaced."""
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
            return "leads back to itself"
        if "Environment variable '" in message:
            return f"the environment variable {parts[1]} is not set; ${{oc.env:{parts[1]},default}} does without it"
        if not message.startswith("Interpolation key '"):
            return f"leads nowhere: {_INTERPOLATIONS}"
        if self.incomplete and tuple(parts[1].split(".")) in reader.leaves(Settings):
            return None  # what was to be there is reported already
        keys = [".".join(map(str, key)) for key in reader.leaves(Settings)]
        variable = f"; a variable of the environment is ${{oc.env:{parts[1]}}}" if parts[1].isupper() else ""
        return f"no key {parts[1]} to take it from{variable or nearest(parts[1], keys)}"


def quote(key: Key, value: Any) -> str:
    """A key as messages show it, with its value where that is one; what stands under secrets is shown to nobody."""
    dotted = ".".join(map(str, key))
    return f"{dotted} = {value}" if isinstance(value, str) and key[0] != "secrets" else dotted


def _known(merged: Any, key: Key) -> str | None:
    """A value that is needed before all others; None where it can't be had."""
    try:
        for part in key:
            merged = merged[part]
    except (OmegaConfBaseException, RecursionError, KeyError, TypeError):
        return None
    return str(merged)


def _plain(value: Any) -> Tree:
    """What OmegaConf resolved, as the texts that it was made of."""
    if isinstance(value, dict):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return None if value is None else str(value)
