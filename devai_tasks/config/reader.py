"""From trees of raw scalars to the schema's dataclasses, with every problem at once."""

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
    """Something looked at a value that could not be read."""


class _Unreadable:
    """What stands for such a value: whoever looks at it hears so, and judges nothing by it."""

    def _refuse(self, *_: object) -> Any:
        raise UnreadableError

    __bool__ = __eq__ = __hash__ = __lt__ = __le__ = __gt__ = __ge__ = __str__ = __getattr__ = _refuse
    __iter__ = __len__ = __contains__ = __getitem__ = _refuse


_UNREADABLE = _Unreadable()


class Report(Protocol):
    """Takes the key at fault and what is allowed there; `at_name`: the key itself is wrong, and not its value."""

    def __call__(self, key: Key, allowed: str, *, at_name: bool = False) -> None:
        """Note a problem."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """A key of a section: its type, what the schema says of it, and its default as a file would write it."""

    kind: Any
    meta: Metadata
    default: Tree | None


def may_be_null(kind: Any) -> bool:
    """Whether a key may be without a value: its type is `X | None`."""
    return type(None) in typing.get_args(kind)


def value_kind(kind: Any) -> Any:
    """The type of a key's value where it has one."""
    if not may_be_null(kind):
        return kind
    return next(choice for choice in typing.get_args(kind) if choice is not type(None))


def is_section(kind: Any) -> bool:
    """Whether a type of the schema has keys of its own."""
    return dataclasses.is_dataclass(kind) and kind not in (*QUANTITIES, Secret)


@cache
def fields(section: Any) -> Mapping[str, Entry]:
    """The keys of a section; fields that files can't set are left out."""
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
    """Every key that holds a value, by its path; maps and lists count as one value."""
    found: dict[Key, Entry] = {}
    for name, entry in fields(section).items():
        if is_section(entry.kind):
            found |= {(name, *key): inner for key, inner in leaves(entry.kind).items()}
        else:
            found[(name,)] = entry
    return found


@cache
def maps(section: Any) -> frozenset[Key]:
    """The keys of whose values the names are free."""
    return frozenset(key for key, entry in leaves(section).items() if typing.get_origin(entry.kind) is Mapping)


def defaults(section: Any) -> dict[str, Tree]:
    """The schema's own values as the weakest layer, written as a file would."""
    tree: dict[str, Tree] = {}
    for name, entry in fields(section).items():
        if is_section(entry.kind):
            tree[name] = defaults(entry.kind)
        elif entry.default is not None:
            tree[name] = entry.default
    return tree


def split(section: Any, dotted: str) -> list[str]:
    """The path that a dotted key means: what follows the name of a map is one name, with dots or without."""
    name, dot, rest = dotted.partition(".")
    entry = fields(section).get(name)
    if not dot or not entry:
        return dotted.split(".")
    if is_section(entry.kind):
        return [name, *split(entry.kind, rest)]
    return [name, rest] if typing.get_origin(entry.kind) is Mapping else dotted.split(".")


def clean(kind: Any, tree: Tree, key: Key, report: Report) -> Tree:
    """The tree without what the schema has no place for, which is reported.

    That is keys that it doesn't know, and lists or maps where it has something else; the latter become None.
    """
    if isinstance(tree, str) and "${" in tree:
        return tree  # may stand for anything; what came of it is checked again
    if is_section(kind):
        return _clean_section(kind, tree, key, report)
    wanted = None
    if typing.get_origin(kind) is tuple:
        if not isinstance(tree, list) or any(isinstance(item, (dict, list)) for item in tree):
            wanted = "a list of texts, such as [a, b]"
    elif typing.get_origin(kind) is Mapping:
        if isinstance(tree, dict):
            members = {name: clean(str, item, (*key, name), report) for name, item in tree.items()}
            return {name: item for name, item in members.items() if item is not None or tree[name] is None}
        secret = typing.get_args(kind)[1] is Secret
        wanted = f"a map of texts, such as {'{NAME: ${secret:NAME}}' if secret else '{name: text}'}"
    elif isinstance(tree, (dict, list)):
        wanted = f"one value, not a {'map' if isinstance(tree, dict) else 'list'}"
    if wanted:
        report(key, wanted)
        return None
    return tree


def _clean_section(kind: Any, tree: Tree, key: Key, report: Report) -> Tree:
    if not isinstance(tree, dict):
        report(key, f"a section: its keys are {', '.join(fields(kind))}")
        return None
    kept: dict[str, Tree] = {}
    for name, value in tree.items():
        if name not in fields(kind):
            where = ".".join(map(str, key)) or "the configuration"
            report((*key, name), f"no such key in {where}{nearest(name, fields(kind))}", at_name=True)
            continue
        inner = fields(kind)[name].kind
        result = clean(inner, value, (*key, name), report)
        # A part that was refused is as if it weren't there; a null that was written stays, to be refused as a value.
        if result is not None or (value is None and not is_section(inner)):
            kept[name] = result
    return kept


def read(kind: Any, tree: Tree, key: Key, report: Report, **given: Any) -> Any:
    """The typed value of a resolved tree; reports what is wrong, and what is made of that raises UnreadableError.

    `given` are the fields of the outermost section that no file sets.
    """
    if is_section(kind):
        return _section(kind, tree if isinstance(tree, dict) else {}, key, report, given)
    if typing.get_origin(kind) is tuple:
        items = tree if isinstance(tree, list) else []
        return tuple(read(str, item, (*key, index), report) for index, item in enumerate(items))
    if typing.get_origin(kind) is Mapping:
        # In one order, whatever that of the layers is: artifacts change only where something is said.
        entries = dict(sorted(tree.items())) if isinstance(tree, dict) else {}
        member = typing.get_args(kind)[1]
        return MappingProxyType({name: read(member, item, (*key, name), report) for name, item in entries.items()})
    return _value(kind, tree, key, report)


def _value(kind: Any, tree: Tree, key: Key, report: Report) -> Any:
    if may_be_null(kind) and tree in (None, "null"):  # flags and variables have texts only
        return None
    if tree is None:
        report(key, NO_VALUE)
        return _UNREADABLE
    try:
        return _scalar(value_kind(kind), str(tree))
    except ValueError as error:
        report(key, str(error))
        return _UNREADABLE


def _section(kind: Any, tree: dict[str, Tree], key: Key, report: Report, given: Mapping[str, Any]) -> Any:
    values = dict(given)
    for name, entry in fields(kind).items():
        here = (*key, name)
        if name not in tree and not is_section(entry.kind):
            report(here, f"{NO_VALUE}: give it one in conf/common/{here[0]}.yaml")
            values[name] = _UNREADABLE
            continue
        value = values[name] = read(entry.kind, tree.get(name), here, report)
        check = entry.meta.check
        if check and value is not None and not _has_unreadable(value) and (allowed := check.refusal(value)):
            report(here, allowed)
            values[name] = _UNREADABLE
    return kind(**values)


def _has_unreadable(value: Any) -> bool:
    members = value.values() if isinstance(value, Mapping) else value if isinstance(value, tuple) else [value]
    return any(member is _UNREADABLE for member in members)


def _scalar(kind: Any, text: str) -> Any:
    if kind is Secret:
        return Secret.parse(text)
    if secrets.refers(text):
        raise ValueError("is no place for a secret: artifacts show it; only what stands under secrets: is kept")
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
        raise ValueError("has a character that no file can hold")
    return text


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"true or false{nearest(text.lower(), ('true', 'false'))}")
    return text == "true"


def _whole_number(text: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 18:  # noqa: PLR2004 - more than 64 bits hold
        raise ValueError("not a whole number")
    return int(text)


_PARSERS: dict[Any, Callable[[str], Any]] = {str: _text, bool: _truth, int: _whole_number}
