"""References of the configuration's keys: JSON Schema for editors, Markdown for users."""

from __future__ import annotations

import json
import typing
from collections.abc import Collection, Mapping
from typing import Any

from devai_tasks.config import reader
from devai_tasks.config.document import Key
from devai_tasks.config.reader import Entry
from devai_tasks.config.schema import Settings
from devai_tasks.config.secrets import Secret
from devai_tasks.config.units import Cpu, Duration, Size
from devai_tasks.targets.base import by_target
from devai_tasks.targets.templating import template
from devai_tasks.workspace.writer import Artifacts

Affected = Mapping[Key, Collection[str]]
"""The artifacts that each key affects in any stack."""

SCHEMA_FILE = "conf/schema.json"
REFERENCE_FILE = "docs/configuration.md"
DRAFT = "https://json-schema.org/draft/2020-12/schema"

# An alternative to any value: an interpolation, which is resolved after all layers are merged.
_INTERPOLATION = {"type": "string", "pattern": r"\$\{"}
_QUANTITY_PATTERNS = {
    Cpu: r"^(\d+m|\d+(\.\d{1,3})?)$",
    Size: r"^\d+(\.\d+)?(Ki|Mi|Gi|Ti|kB|MB|GB|TB)$",
    Duration: r"^\d+[smhd]$",
}
_KIND_NAMES = {str: "text", int: "number", bool: "true or false", Cpu: "cores", Size: "size", Duration: "time"}


def render(affected: Affected) -> Artifacts:
    """Return both files, by their path in the project."""
    schema = json.dumps(json_schema(), indent=2, ensure_ascii=False)
    return {SCHEMA_FILE: f"{schema}\n", REFERENCE_FILE: markdown(affected)}


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a layer. A layer is any part of the configuration, so no key is required."""
    return {
        "$schema": DRAFT,
        "title": "A layer of the configuration of a Dev AI Lab",
        "description": "A value may be ${section.key} or ${oc.env:NAME,default}, a secret is ${secret:NAME}.",
        **_section(Settings),
    }


def _section(kind: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: _described(entry) for name, entry in reader.fields(kind).items()},
        "additionalProperties": False,
    }


def _described(entry: Entry) -> dict[str, Any]:
    described = {"description": entry.meta.doc}
    if reader.is_section(entry.kind):
        return {**described, "anyOf": [_section(entry.kind), _INTERPOLATION]}
    if entry.default:
        described["description"] += f" Default: {entry.default}."
    return {**described, **_value(entry)}


def _value(entry: Entry) -> dict[str, Any]:
    limits = dict(entry.meta.check.schema) if entry.meta.check else {}
    origin = typing.get_origin(entry.kind)
    if origin is tuple:
        return _or_interpolated({"type": "array", "items": _text(limits)})
    if origin is Mapping:
        # The limits of a map apply to its keys.
        member = _scalar(typing.get_args(entry.kind)[1], {})
        return _or_interpolated({"type": "object", "propertyNames": limits, "additionalProperties": member})
    null = [{"enum": [None, "null"]}] if reader.may_be_null(entry.kind) else []
    return _or_interpolated(_scalar(reader.value_kind(entry.kind), limits), *null)


def _or_interpolated(*schemas: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [*schemas, _INTERPOLATION]}


def _scalar(kind: Any, limits: Mapping[str, Any]) -> dict[str, Any]:
    if typing.get_origin(kind) is typing.Literal:
        return {"enum": list(typing.get_args(kind))}
    if kind is bool:
        return {"enum": [True, False, "true", "false"]}
    if kind is int:
        return {"anyOf": [{"type": "integer", **limits}, {"type": "string", "pattern": r"^-?\d+$"}]}
    if kind is Secret:
        return {"type": "string", "pattern": r"\$\{secret:[A-Z_][A-Z0-9_]*\}"}
    return _text({"pattern": _QUANTITY_PATTERNS[kind]} if kind in _QUANTITY_PATTERNS else limits)


def _text(limits: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a text; other YAML readers parse an unquoted `2` or `1.10` as a number."""
    return {"type": ["string", "number", "boolean"], **limits}


def markdown(affected: Affected) -> str:
    """Return the reference of all keys by section: description, values, default, and affected files."""
    sections: dict[str, list[dict[str, str]]] = {}
    for key, entry in reader.leaves(Settings).items():
        sections.setdefault(str(key[0]), []).append(_row(key, entry, affected.get(key, ())))
    docs = {name: entry.meta.doc for name, entry in reader.fields(Settings).items()}
    return template("configuration.md", sections=sections, docs=docs)


def _row(key: Key, entry: Entry, artifacts: Collection[str]) -> dict[str, str]:
    files = "; ".join(f"{target}: {', '.join(names)}" for target, names in by_target(artifacts).items())
    return {
        "key": ".".join(map(str, key)),
        "doc": entry.meta.doc,
        "kind": _kind_name(entry.kind),
        "default": _default(entry),
        "affects": ". ".join(filter(None, [files, entry.meta.tasks])) or "nothing",
    }


def _default(entry: Entry) -> str:
    if entry.meta.pending:
        return f"from `inv {entry.meta.pending.task}`"
    if entry.default is None:
        return "in `conf/`"
    return f"`{entry.default}`" if entry.default else "empty"


def _kind_name(kind: Any) -> str:
    if typing.get_origin(kind) is typing.Literal:
        return ", ".join(f"`{choice}`" for choice in typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        return "list of texts"
    if typing.get_origin(kind) is Mapping:
        return "map of secrets" if typing.get_args(kind)[1] is Secret else "map of texts"
    return f"{_KIND_NAMES[reader.value_kind(kind)]}{' or null' if reader.may_be_null(kind) else ''}"
