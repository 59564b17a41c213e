"""Changes to a layer's file as a person would make them: one value, and everything around it as it was."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.resolver import VersionedResolver
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from devai_tasks.config.document import Key, Tree
from devai_tasks.system.errors import UsageError

# Ways to write that there is no value, beside writing nothing.
_NULLS = ("~", "null", "Null", "NULL")


class _AsWritten(VersionedResolver):
    """Takes plain scalars for the texts that they look like, so that `True` and `+49` stay so; see `document`."""

    @property
    def versioned_resolver(self) -> Any:
        """What means something else: nothing at all, and the key of a merge."""
        meanings = super().versioned_resolver
        return {first: meanings[first] for first in ("", "<")}


def edited(text: str, assignments: Sequence[tuple[Key, Tree]]) -> str:
    """A YAML file's text with values set; comments, order and quotes of all others stay.

    Raises UsageError where a key leads through something that is no section.
    """
    editor = YAML()
    editor.width = 120
    editor.preserve_quotes = True
    editor.Resolver = _AsWritten
    editor.indent(mapping=2, sequence=4, offset=2)
    tree = editor.load(text)
    if tree is None:
        # ruamel has no place for the comments of a file without values: they stay before what is added.
        return _head(text) + _dump(editor, _set(CommentedMap(), assignments))
    return _dump(editor, _set(tree, assignments))


def _head(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"


def _dump(editor: YAML, tree: Any) -> str:
    stream = io.StringIO()
    editor.dump(tree, stream)
    return stream.getvalue()


def _set(tree: Any, assignments: Sequence[tuple[Key, Tree]]) -> Any:
    for key, value in assignments:
        node = tree
        for part in key[:-1]:
            if part not in node or _is_nothing(node[part]):
                node[part] = CommentedMap()
            node = node[part]
            if not isinstance(node, CommentedMap):
                raise UsageError(f"{'.'.join(map(str, key))}: {part} is one value in this file, and no section")
        node[key[-1]] = _node(value)
    return tree


def _is_nothing(value: Any) -> bool:
    return value is None or (type(value) is str and value in _NULLS)  # quoted ones have types of their own


def _node(value: Tree) -> Any:
    """A value as it should stand in the file: what a reader might take for something else than a text is quoted."""
    if isinstance(value, dict):
        return CommentedMap({name: _node(inner) for name, inner in value.items()})
    if isinstance(value, list):
        return [_node(inner) for inner in value]
    if value is None:
        return None
    meaning = _meaning(value)
    plain = meaning == value or value in ("true", "false") or (type(meaning) is int and str(meaning) == value)
    return value if plain else DoubleQuotedScalarString(value)


def _meaning(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return None
