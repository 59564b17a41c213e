"""Minimal edits of a layer's YAML file: they set values and preserve everything else."""

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

# Scalars that mean null, in addition to an empty one.
_NULLS = ("~", "null", "Null", "NULL")


class _AsWritten(VersionedResolver):
    """Resolves plain scalars to strings, so that `True` and `+49` are preserved, as `document` does."""

    @property
    def versioned_resolver(self) -> Any:
        """Resolvers by first character: only those of empty values and merge keys."""
        resolvers = super().versioned_resolver
        return {first: resolvers[first] for first in ("", "<")}


def edited(text: str, assignments: Sequence[tuple[Key, Tree]]) -> str:
    """Return the text of a YAML file with values set, and with all comments, order and quotes preserved.

    Raises:
        UsageError: A part of a key is a value instead of a section.
    """
    editor = YAML()
    editor.width = 120
    editor.preserve_quotes = True
    editor.Resolver = _AsWritten
    editor.indent(mapping=2, sequence=4, offset=2)
    tree = editor.load(text)
    if tree is None:
        # ruamel drops the comments of a file without values, so they are prepended to the added values.
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
            if part not in node or _is_null(node[part]):
                node[part] = CommentedMap()
            node = node[part]
            if not isinstance(node, CommentedMap):
                raise UsageError(f"{'.'.join(map(str, key))}: {part} is a single value in this file, not a section")
        node[key[-1]] = _node(value)
    return tree


def _is_null(value: Any) -> bool:
    return value is None or (type(value) is str and value in _NULLS)  # quoted strings have other types


def _node(value: Tree) -> Any:
    """Return a value as a YAML node; strings that a parser could resolve to another type are quoted."""
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
