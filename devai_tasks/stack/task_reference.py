"""The reference of all tasks, made from what they declare of themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from devai_tasks.targets.templating import template

FILE = "docs/tasks.md"


@dataclass(frozen=True)
class Flag:
    """What may be given to a task, as it is typed."""

    spelling: str
    help: str


@dataclass(frozen=True)
class Entry:
    """One task."""

    name: str
    doc: str
    flags: Sequence[Flag]
    """Its own, without those that every task of a stack takes."""
    of_stack: bool


def markdown(groups: Mapping[str, Sequence[Entry]], common: Sequence[Flag]) -> str:
    """The whole reference: `groups` are the collections by name, `common` the flags of every task of a stack."""
    return template("tasks.md", groups=groups, common=common)
