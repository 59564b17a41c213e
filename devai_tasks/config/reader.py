"""From trees of raw scalars to the schema's dataclasses, with every problem at once."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from devai_tasks.config.document import Key, Tree
from devai_tasks.config.units import Cpu, Duration, Size
from devai_tasks.errors import nearest

Report = Callable[[Key, str], None]
"""Takes the key at fault and what is allowed there."""

QUANTITIES = (Cpu, Size, Duration)
_UNREADABLE = object()


def is_section(kind: Any) -> bool:
    """Whether a type of the schema has keys of its own."""
    return dataclasses.is_dataclass(kind) and kind not in QUANTITIES


@cache
def fields(section: Any) -> Mapping[str, tuple[Any, dataclasses.Field[Any]]]:
    """The keys of a section: `{name: (type, field)}`; those that files can't set are left out."""
    hints = typing.get_type_hints(section)
    return {field.name: (hints[field.name], field) for field in dataclasses.fields(section) if field.metadata}


def leaves(section: type, prefix: Key = ()) -> Iterator[tuple[Key, Any, dataclasses.Field[Any]]]:
    """Every key that holds a value, with its type and field; maps and lists count as one value."""
    for name, (kind, field) in fields(section).items():
        if is_section(kind):
            yield from leaves(kind, (*prefix, name))
        else:
            yield (*prefix, name), kind, field


def defaults(section: Any) -> dict[str, Tree]:
    """The schema's own values as the weakest layer, written as a file would."""
    tree: dict[str, Tree] = {}
    for name, (kind, field) in fields(section).items():
        if is_section(kind):
            tree[name] = defaults(kind)
        elif field.default is not dataclasses.MISSING:
            tree[name] = str(field.default).lower() if kind is bool else str(field.default)
    return tree


def check_shape(kind: Any, tree: Tree, key: Key, report: Report) -> bool:
    """Report keys that the schema doesn't know, and lists or maps where it has something else.

    Returns whether the tree can be read all the same: without its unknown keys it can.
    """
    if isinstance(tree, str) and "${" in tree:
        return True  # may stand for anything; what came of it is checked again
    if is_section(kind):
        return _check_section(kind, tree, key, report)
    wanted = None
    if typing.get_origin(kind) is tuple:
        if not isinstance(tree, list) or any(isinstance(item, (dict, list)) for item in tree):
            wanted = "a list of texts, such as [a, b]"
    elif typing.get_origin(kind) is Mapping:
        if not isinstance(tree, dict) or any(isinstance(item, (dict, list)) for item in tree.values()):
            wanted = "a map of texts, such as {name: text}"
    elif isinstance(tree, (dict, list)):
        wanted = f"one value, not a {'map' if isinstance(tree, dict) else 'list'}"
    if wanted:
        report(key, wanted)
    return not wanted


def _check_section(kind: Any, tree: Tree, key: Key, report: Report) -> bool:
    if not isinstance(tree, dict):
        report(key, f"a section: its keys are {', '.join(fields(kind))}")
        return False
    readable = True
    for name, value in tree.items():
        if name in fields(kind):
            readable &= check_shape(fields(kind)[name][0], value, (*key, name), report)
        else:
            report((*key, name), f"no such key in the configuration{nearest(name, fields(kind))}")
    return readable


def read(kind: Any, tree: Tree, key: Key, report: Report, **given: Any) -> Any:
    """The typed value of a resolved tree; reports what is wrong and returns a value that must not be used then.

    `given` are the fields of the outermost section that no file sets.
    """
    if is_section(kind):
        return _section(kind, tree if isinstance(tree, dict) else {}, key, report, given)
    if typing.get_origin(kind) is tuple:
        items = tree if isinstance(tree, list) else []
        return tuple(read(str, item, (*key, index), report) for index, item in enumerate(items))
    if typing.get_origin(kind) is Mapping:
        entries = tree if isinstance(tree, dict) else {}
        return MappingProxyType({name: read(str, item, (*key, name), report) for name, item in entries.items()})
    if tree is None:
        report(key, "has no value")
        return _UNREADABLE
    try:
        return _scalar(kind, str(tree))
    except ValueError as error:
        report(key, str(error))
        return _UNREADABLE


def _section(kind: Any, tree: dict[str, Tree], key: Key, report: Report, given: Mapping[str, Any]) -> Any:
    values = dict(given)
    for name, (field_kind, field) in fields(kind).items():
        here = (*key, name)
        if name not in tree:
            report(here, f"has no value: give it one in conf/common/{here[0]}.yaml")
            values[name] = _UNREADABLE
            continue
        value = values[name] = read(field_kind, tree[name], here, report)
        check = field.metadata["check"]
        if check and not _has_unreadable(value) and (allowed := check(value)):
            report(here, allowed)
    return kind(**values)


def _has_unreadable(value: Any) -> bool:
    members = value.values() if isinstance(value, Mapping) else value if isinstance(value, tuple) else [value]
    return any(member is _UNREADABLE for member in members)


def _scalar(kind: Any, text: str) -> Any:
    if kind is str:
        if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
            raise ValueError("has a character that no file can hold")
        return text
    if kind in QUANTITIES:
        return kind.parse(text)
    if kind is bool:
        if text not in ("true", "false"):
            raise ValueError("true or false")
        return text == "true"
    if kind is int:
        if not text.removeprefix("-").isascii() or not text.removeprefix("-").isdigit():
            raise ValueError("not a whole number")
        return int(text)
    if typing.get_origin(kind) is typing.Literal:
        choices = typing.get_args(kind)
        if text not in choices:
            raise ValueError(f"one of {', '.join(choices)}{nearest(text, choices)}")
        return text
    raise TypeError(f"the schema has a type that the reader doesn't know: {kind}")  # a bug of ours
