"""Conversion of trees of raw scalars to the schema's dataclasses, which reports all problems at once."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, Protocol

from devai_tasks.config import secrets
from devai_tasks.config.document import Key, Tree
from devai_tasks.config.fields import Key as Metadata
from devai_tasks.config.secrets import Secret
from devai_tasks.config.units import Cpu, Duration, Size
from devai_tasks.system.errors import nearest

QUANTITIES = (Cpu, Size, Duration)
NO_VALUE = "has no value"


class UnreadableError(Exception):
    """An unreadable value was used."""


class _Unreadable:
    """Marker for an unreadable value: any use raises UnreadableError, so that no rule evaluates it."""

    def _refuse(self, *_: object) -> Any:
        raise UnreadableError

    __bool__ = __eq__ = __hash__ = __lt__ = __le__ = __gt__ = __ge__ = __str__ = __getattr__ = _refuse
    __iter__ = __len__ = __contains__ = __getitem__ = _refuse


_UNREADABLE = _Unreadable()


class Report(Protocol):
    """Callback that takes an invalid key and what is allowed; `at_name`: the key itself is invalid, not its value."""

    def __call__(self, key: Key, allowed: str, *, at_name: bool = False) -> None:
        """Note a problem."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """A key of a section: its type, its metadata, and its default in the format of a file."""

    kind: Any
    meta: Metadata
    default: Tree | None


def may_be_null(kind: Any) -> bool:
    """Whether a key may be null: its type is `X | None`."""
    return type(None) in typing.get_args(kind)


def value_kind(kind: Any) -> Any:
    """Return the type of a key's value without None."""
    if not may_be_null(kind):
        return kind
    return next(choice for choice in typing.get_args(kind) if choice is not type(None))


def is_section(kind: Any) -> bool:
    """Whether a type of the schema is a section, which has keys."""
    return dataclasses.is_dataclass(kind) and kind not in (*QUANTITIES, Secret)


@cache
def fields(section: Any) -> Mapping[str, Entry]:
    """Return the keys of a section, without fields that files cannot set."""
    hints = typing.get_type_hints(section)
    return {
        field.name: Entry(hints[field.name], field.metadata["key"], _written(field.default))
        for field in dataclasses.fields(section)
        if field.metadata
    }


def _written(default: Any) -> Tree | None:
    if default is dataclasses.MISSING:
        return None
    if isinstance(default, tuple):
        return [*default]
    return str(default).lower() if isinstance(default, bool) else str(default)


@cache
def leaves(section: Any) -> Mapping[Key, Entry]:
    """Return all keys with a value, by path; a map or list is one value."""
    result: dict[Key, Entry] = {}
    for name, entry in fields(section).items():
        if is_section(entry.kind):
            result |= {(name, *key): inner for key, inner in leaves(entry.kind).items()}
        else:
            result[(name,)] = entry
    return result


@cache
def maps(section: Any) -> frozenset[Key]:
    """Return the keys of maps, whose members have user-defined names."""
    return frozenset(key for key, entry in leaves(section).items() if typing.get_origin(entry.kind) is Mapping)


def defaults(section: Any) -> dict[str, Tree]:
    """Return the schema's defaults, which are the weakest layer, in the format of a file."""
    tree: dict[str, Tree] = {}
    for name, entry in fields(section).items():
        if is_section(entry.kind):
            tree[name] = defaults(entry.kind)
        elif entry.default is not None:
            tree[name] = entry.default
    return tree


def split(section: Any, dotted: str) -> list[str]:
    """Return the path of a dotted key. The text after the key of a map is one name, which may contain dots."""
    name, dot, rest = dotted.partition(".")
    entry = fields(section).get(name)
    if not dot or not entry:
        return dotted.split(".")
    if is_section(entry.kind):
        return [name, *split(entry.kind, rest)]
    return [name, rest] if typing.get_origin(entry.kind) is Mapping else dotted.split(".")


def clean(kind: Any, tree: Tree, key: Key, report: Report) -> Tree:
    """Return a tree without parts that do not fit the schema, and report these.

    Unknown keys are removed. Lists and maps in place of another type become None.
    """
    if isinstance(tree, str) and "${" in tree:
        return tree  # unknown until resolved, when it is checked again
    if is_section(kind):
        return _clean_section(kind, tree, key, report)
    expected = None
    if typing.get_origin(kind) is tuple:
        if not isinstance(tree, list) or any(isinstance(item, (dict, list)) for item in tree):
            expected = "a list of strings, such as [a, b]"
    elif typing.get_origin(kind) is Mapping:
        if isinstance(tree, dict):
            members = {name: clean(str, item, (*key, name), report) for name, item in tree.items()}
            return {name: item for name, item in members.items() if item is not None or tree[name] is None}
        secret = typing.get_args(kind)[1] is Secret
        expected = f"a map of strings, such as {'{NAME: ${secret:NAME}}' if secret else '{name: text}'}"
    elif isinstance(tree, (dict, list)):
        expected = f"a single value, not a {'map' if isinstance(tree, dict) else 'list'}"
    if expected:
        report(key, expected)
        return None
    return tree


def _clean_section(kind: Any, tree: Tree, key: Key, report: Report) -> Tree:
    if not isinstance(tree, dict):
        report(key, f"a section with the keys {', '.join(fields(kind))}")
        return None
    kept: dict[str, Tree] = {}
    for name, value in tree.items():
        if name not in fields(kind):
            where = ".".join(map(str, key)) or "the configuration"
            report((*key, name), f"no such key in {where}{nearest(name, fields(kind))}", at_name=True)
            continue
        inner = fields(kind)[name].kind
        result = clean(inner, value, (*key, name), report)
        # Remove a refused part, but keep an explicit null, which is refused as a value later.
        if result is not None or (value is None and not is_section(inner)):
            kept[name] = result
    return kept


def read(kind: Any, tree: Tree, key: Key, report: Report, **extra: Any) -> Any:
    """Return the typed value of a resolved tree, and report problems.

    Any use of an invalid value raises UnreadableError.

    Args:
        kind: Type in the schema.
        tree: The resolved tree.
        key: Key of the tree.
        report: Called for each problem.
        extra: Fields of the outermost section that files cannot set.
    """
    if is_section(kind):
        return _section(kind, tree if isinstance(tree, dict) else {}, key, report, extra)
    if typing.get_origin(kind) is tuple:
        items = tree if isinstance(tree, list) else []
        return tuple(read(str, item, (*key, index), report) for index, item in enumerate(items))
    if typing.get_origin(kind) is Mapping:
        # Sorted, so that the order of the layers does not change artifacts.
        entries = dict(sorted(tree.items())) if isinstance(tree, dict) else {}
        member = typing.get_args(kind)[1]
        return MappingProxyType({name: read(member, item, (*key, name), report) for name, item in entries.items()})
    return _value(kind, tree, key, report)


def _value(kind: Any, tree: Tree, key: Key, report: Report) -> Any:
    if may_be_null(kind) and tree in (None, "null"):  # flags and variables are strings only
        return None
    if tree is None:
        report(key, NO_VALUE)
        return _UNREADABLE
    try:
        return _scalar(value_kind(kind), str(tree))
    except ValueError as error:
        report(key, str(error))
        return _UNREADABLE


def _section(kind: Any, tree: dict[str, Tree], key: Key, report: Report, extra: Mapping[str, Any]) -> Any:
    values = dict(extra)
    for name, entry in fields(kind).items():
        path = (*key, name)
        if name not in tree and not is_section(entry.kind):
            report(path, f"{NO_VALUE}: set one in conf/common/{path[0]}.yaml")
            values[name] = _UNREADABLE
            continue
        value = values[name] = read(entry.kind, tree.get(name), path, report)
        check = entry.meta.check
        if check and value is not None and not _has_unreadable(value) and (allowed := check.refusal(value)):
            report(path, allowed)
            values[name] = _UNREADABLE
    return kind(**values)


def _has_unreadable(value: Any) -> bool:
    members = value.values() if isinstance(value, Mapping) else value if isinstance(value, tuple) else [value]
    return any(member is _UNREADABLE for member in members)


def _scalar(kind: Any, text: str) -> Any:
    if kind is Secret:
        return Secret.parse(text)
    if secrets.has_reference(text):
        raise ValueError("a value without secrets: artifacts show it; only the section secrets may refer to secrets")
    if kind in QUANTITIES:
        return kind.parse(text)
    if typing.get_origin(kind) is typing.Literal:
        choices = typing.get_args(kind)
        if text not in choices:
            raise ValueError(f"one of {', '.join(choices)}{nearest(text, choices)}")
        return text
    return _PARSERS[kind](text)


def _text(text: str) -> str:
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("contains a character that is not allowed in files")
    return text


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"true or false{nearest(text.lower(), ('true', 'false'))}")
    return text == "true"


def _whole_number(text: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 18:  # noqa: PLR2004 - the digits of 64 bits
        raise ValueError("not a whole number")
    return int(text)


_PARSERS: dict[Any, Callable[[str], Any]] = {str: _text, bool: _truth, int: _whole_number}
