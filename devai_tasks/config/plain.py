"""Settings as plain values, for output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from devai_tasks.config import reader
from devai_tasks.config.secrets import Secret
from devai_tasks.system.errors import UsageError, unknown


def tree(value: Any) -> Any:
    """Return a value as maps, lists, strings, numbers and booleans; quantities in the format of the configuration."""
    kind: Any = type(value)
    if reader.is_section(kind):
        return {name: tree(getattr(value, name)) for name in reader.fields(kind)}
    if isinstance(value, Mapping):
        return {name: tree(member) for name, member in value.items()}
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, (*reader.QUANTITIES, Secret)) else value


def select(value: Any, key: str) -> Any:
    """Return the value of a dotted key, or everything for an empty key. Raises UsageError for an unknown key."""
    rest = key
    while rest:
        names = value if isinstance(value, dict) else {}
        # Keys of maps may contain dots: use the longest match.
        name = max((name for name in names if rest == name or rest.startswith(f"{name}.")), key=len, default=None)
        if not names:
            raise UsageError(f"unknown key {key!r}: {key.removesuffix(f'.{rest}')} has no keys of its own")
        if name is None:
            raise UsageError(unknown("key", key, _dotted(names, key.removesuffix(rest))))
        value, rest = value[name], rest[len(name) + 1 :]
    return value


def _dotted(names: Mapping[str, Any], prefix: str) -> list[str]:
    return [f"{prefix}{name}" for name in names]
