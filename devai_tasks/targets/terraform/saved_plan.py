"""The changes in a saved plan of Terraform, read from its JSON form.

https://developer.hashicorp.com/terraform/internals/json-format describes the format. Values are left out: the names of
attributes are enough for an overview, and are never secret.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

CREATED, CHANGED, REPLACED, DESTROYED, FORGOTTEN = "created", "changed", "replaced", "destroyed", "forgotten"
KINDS = (CREATED, CHANGED, REPLACED, DESTROYED, FORGOTTEN)
_ACTIONS: Mapping[tuple[str, ...], str] = {
    ("create",): CREATED,
    ("update",): CHANGED,
    ("delete", "create"): REPLACED,
    ("create", "delete"): REPLACED,
    ("delete",): DESTROYED,
    ("forget",): FORGOTTEN,
}

# Addresses of resources that hold a secret or a version of one; the group is the secret's name.
_SECRET = re.compile(r'_secret(?:_version)?\.this\["(\w+)"\]$')


@dataclass(frozen=True)
class ResourceChange:
    """What happens to one resource."""

    kind: str
    address: str
    attributes: tuple[str, ...]
    """The names of the changed attributes, if the resource is updated or replaced."""


@dataclass(frozen=True)
class Plan:
    """The changes of a plan."""

    changes: tuple[ResourceChange, ...]
    outputs: tuple[str, ...]
    """The names of the changed outputs."""

    @property
    def is_empty(self) -> bool:
        """Whether applying the plan changes nothing."""
        return not self.changes and not self.outputs

    @property
    def counts(self) -> dict[str, int]:
        """The number of resources for each kind of change; kinds without any are left out."""
        numbers = Counter(change.kind for change in self.changes)
        return {kind: numbers[kind] for kind in KINDS if numbers[kind]}

    @property
    def destructive_changes(self) -> list[str]:
        """Addresses of the resources that are destroyed or replaced."""
        return [change.address for change in self.changes if change.kind in (DESTROYED, REPLACED)]

    @property
    def secrets(self) -> list[str]:
        """The names of the secrets that the plan writes, because they are new or have a new version."""
        return [
            match[1]
            for change in self.changes
            if (match := _SECRET.search(change.address))
            and (change.kind in (CREATED, REPLACED) or any(name.endswith("_wo_version") for name in change.attributes))
        ]

    @property
    def sentence(self) -> str:
        """A summary of the plan in one line."""
        if self.is_empty:
            return "no changes"
        counts = ", ".join(f"{count} {kind}" for kind, count in self.counts.items())
        return counts or f"no resource changes; {len(self.outputs)} outputs change"

    def as_json(self) -> dict[str, Any]:
        """Return the plan as JSON data for other programs."""
        changes = [{**asdict(change), "attributes": list(change.attributes)} for change in self.changes]
        return {"empty": self.is_empty, "counts": self.counts, "changes": changes, "outputs": list(self.outputs)}

    def markdown(self, title: str, note: str = "") -> str:
        """Return the plan as Markdown, for the description of a pull request."""
        lines = [f"### {title}: {self.sentence}", ""]
        if note:
            lines += [f"> {note}", ""]
        if self.changes:
            lines += ["| | resource | what |", "| --- | --- | --- |"]
            lines += [f"| {c.kind} | `{c.address}` | {', '.join(c.attributes)} |" for c in self.changes]
        return "\n".join([*lines, ""])


def parse(document: Mapping[str, Any]) -> Plan:
    """Return the plan from the output of `terraform show -json FILE`."""
    entries = document.get("resource_changes", ())
    changes = [change for entry in entries if (change := _change(entry))]
    outputs = [name for name, change in document.get("output_changes", {}).items() if change["actions"] != ["no-op"]]
    return Plan(tuple(sorted(changes, key=lambda c: (KINDS.index(c.kind), c.address))), tuple(sorted(outputs)))


def _change(entry: Mapping[str, Any]) -> ResourceChange | None:
    change = entry["change"]
    kind = _ACTIONS.get(tuple(change["actions"]))
    if not kind:  # read, no-op
        return None
    named = kind in (CHANGED, REPLACED)
    return ResourceChange(kind, entry["address"], tuple(_changed(change)) if named else ())


def _changed(change: Mapping[str, Any]) -> Sequence[str]:
    """Return the attributes that the configuration changes; for a replacement, those that force it.

    Values that are known only after apply do not count as changes.
    """
    if paths := change.get("replace_paths"):
        return sorted({str(path[0]) for path in paths})
    before, after, unknown = change["before"] or {}, change["after"] or {}, change.get("after_unknown") or {}
    names = before.keys() | after.keys()
    return sorted(name for name in names if before.get(name) != after.get(name) and unknown.get(name) is not True)
