"""Changes to a layer's file as a person would make them: one value, and everything around it as it was."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from devai_tasks.config.document import Key, Tree
from devai_tasks.errors import UsageError


def edited(text: str, assignments: Sequence[tuple[Key, Tree]]) -> str:
    """A YAML file's text with values set; comments, order and quotes of all others stay.

    Raises UsageError where a key leads through something that is no section.
    """
    editor = YAML()
    editor.width = 120
    editor.preserve_quotes = True
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
            if part not in node or node[part] is None:
                node[part] = CommentedMap()
            node = node[part]
            if not isinstance(node, CommentedMap):
                raise UsageError(f"{'.'.join(map(str, key))}: {part} is one value in this file, and no section")
        node[key[-1]] = _node(value)
    return tree


def _node(value: Tree) -> Any:
    """A value as it should stand in the file: what a reader might take for something else than a text is quoted."""
    if isinstance(value, dict):
        return CommentedMap({name: _node(inner) for name, inner in value.items()})
    if isinstance(value, list):
        return [_node(inner) for inner in value]
    if value is None:
        return None
    meaning = _meaning(value)
    if isinstance(meaning, bool) and value in ("true", "false"):
        return meaning
    if type(meaning) is int and str(meaning) == value:
        return meaning
    return value if meaning == value else DoubleQuotedScalarString(value)


def _meaning(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return None
