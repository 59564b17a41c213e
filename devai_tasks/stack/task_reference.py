"""Reference of all tasks, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from devai_tasks.targets.templating import template

FILE = "docs/tasks.md"


@dataclass(frozen=True)
class Flag:
    """A flag or positional argument of a task, as it is typed."""

    spelling: str
    help: str


@dataclass(frozen=True)
class Entry:
    """One task."""

    name: str
    doc: str
    flags: Sequence[Flag]
    """The task's own flags, without the flags that all tasks of a stack share."""
    of_stack: bool


def markdown(groups: Mapping[str, Sequence[Entry]], common: Sequence[Flag]) -> str:
    """Return the reference.

    Args:
        groups: the tasks of each collection, by its title.
        common: the flags that all tasks of a stack share.
    """
    return template("tasks.md", groups=groups, common=common)
