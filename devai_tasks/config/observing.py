"""Settings that record which keys are read, to determine what a key affects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from devai_tasks.config import reader
from devai_tasks.config.document import Key
from devai_tasks.config.schema import Settings


def observed(settings: Settings, note: Callable[[Key], object]) -> Settings:
    """Return settings with the same values that call `note` with each key that is read."""
    return cast("Settings", _Observed(settings, (), note))


class _Observed:
    """A section of the settings, or all settings, with the same values."""

    def __init__(self, section: Any, path: Key, note: Callable[[Key], object]) -> None:
        self._section, self._path, self._note = section, path, note

    def __getattr__(self, name: str) -> Any:
        member = getattr(type(self._section), name, None)
        if isinstance(member, property) and member.fget:
            return member.fget(self)  # the property reads keys through this object
        value, key = getattr(self._section, name), (*self._path, name)
        if key in reader.leaves(Settings):
            self._note(key)
        elif reader.is_section(type(value)) and key[0] != "stack":
            return _Observed(value, key, self._note)
        return value
