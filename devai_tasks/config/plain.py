"""Settings as plain values, to show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from devai_tasks.config import reader
from devai_tasks.config.secrets import Secret
from devai_tasks.system.errors import UsageError, unknown


def tree(value: Any) -> Any:
    """Maps, lists, texts, numbers and truth values; quantities as they would be written."""
    kind: Any = type(value)
    if reader.is_section(kind):
        return {name: tree(getattr(value, name)) for name in reader.fields(kind)}
    if isinstance(value, Mapping):
        return {name: tree(member) for name, member in value.items()}
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, (*reader.QUANTITIES, Secret)) else value


def select(value: Any, key: str) -> Any:
    """What stands at a dotted key; all of it for an empty one. Raises UsageError where nothing does."""
    rest = key
    while rest:
        names = value if isinstance(value, dict) else {}
        # Names of maps may have dots themselves: the longest that fits.
        name = max((name for name in names if rest == name or rest.startswith(f"{name}.")), key=len, default=None)
        if not names:
            raise UsageError(f"unknown key {key!r}: {key.removesuffix(f'.{rest}')} has no keys of its own")
        if name is None:
            raise UsageError(unknown("key", key, _dotted(names, key.removesuffix(rest))))
        value, rest = value[name], rest[len(name) + 1 :]
    return value


def _dotted(names: Mapping[str, Any], prefix: str) -> list[str]:
    return [f"{prefix}{name}" for name in names]
