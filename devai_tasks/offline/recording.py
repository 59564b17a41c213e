"""Provider schema snapshots of the resource types in use, with the providers' versions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

Block = Mapping[str, Any]
"""A block in the format of `terraform providers schema -json`: `attributes` and `block_types`."""

FOLDER = Path(str(files("devai_tasks.offline") / "recordings"))
_USED = re.compile(r'^(resource|data)\s+"(\w+)"', re.MULTILINE)


@dataclass(frozen=True)
class Snapshot:
    """Schema snapshot of one version of a provider."""

    source: str
    """Address of the provider, such as `registry.terraform.io/hashicorp/aws`."""
    version: str
    origin: str
    """Package or build that the snapshot was made from."""
    provider: Block
    resources: Mapping[str, Block] = field(default_factory=dict)
    data: Mapping[str, Block] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the provider, such as `aws`."""
        return self.source.rpartition("/")[2]

    def only(self, used: Used) -> Snapshot:
        """Return a copy with only the types in use."""
        return Snapshot(
            self.source,
            self.version,
            self.origin,
            self.provider,
            {name: block for name, block in self.resources.items() if name in used.resources},
            {name: block for name, block in self.data.items() if name in used.data},
        )

    def write(self, folder: Path) -> Path:
        """Write the snapshot as JSON with one line for each type, so that diffs are readable; return the file."""
        parts = [
            f'  "{kind}": {{\n'
            + ",\n".join(f"    {json.dumps(name)}: {_line(block)}" for name, block in entries)
            + "\n  }"
            for kind, entries in (("resources", sorted(self.resources.items())), ("data", sorted(self.data.items())))
        ]
        head = [f'  "{name}": {json.dumps(getattr(self, name))}' for name in ("source", "version", "origin")]
        file = folder / f"{self.name}.json"
        file.write_text(
            "{\n" + ",\n".join([*head, f'  "provider": {_line(self.provider)}', *parts]) + "\n}\n", encoding="utf-8"
        )
        return file


@dataclass(frozen=True)
class Used:
    """Resource types and data sources that a configuration uses."""

    resources: frozenset[str]
    data: frozenset[str]

    @classmethod
    def below(cls, folder: Path) -> Used:
        """Return the types in all `.tf` files below a folder."""
        matches = {match for file in folder.rglob("*.tf") for match in _USED.findall(file.read_text(encoding="utf-8"))}
        return cls(*(frozenset(name for kind, name in matches if kind == block) for block in ("resource", "data")))

    def missing(self, snapshots: Iterable[Snapshot]) -> list[str]:
        """Return the types that no snapshot contains, except for those built into Terraform."""
        snapshots = list(snapshots)
        resources = {name for snapshot in snapshots for name in snapshot.resources} | {"terraform_data"}
        data = {name for snapshot in snapshots for name in snapshot.data} | {"terraform_remote_state"}
        return sorted([*(self.resources - resources), *(f"data.{name}" for name in self.data - data)])


def read(file: Path) -> Snapshot:
    """Read a snapshot from a file."""
    return Snapshot(**json.loads(file.read_text(encoding="utf-8")))


def shipped(folder: Path = FOLDER) -> list[Snapshot]:
    """Return the snapshots that the package contains."""
    return [read(file) for file in sorted(folder.glob("*.json"))]


def of_real_provider(schemas: Mapping[str, Any], source: str, version: str, origin: str) -> Snapshot:
    """Return a snapshot of a real provider.

    Args:
        schemas: parsed output of `terraform providers schema -json`.
        source: address of the provider.
        version: version of the provider.
        origin: description of the build.
    """
    schema = schemas["provider_schemas"][source]
    return Snapshot(
        source,
        version,
        origin,
        _bare(schema["provider"]["block"]),
        {name: _bare(entry["block"]) for name, entry in schema.get("resource_schemas", {}).items()},
        {name: _bare(entry["block"]) for name, entry in schema.get("data_source_schemas", {}).items()},
    )


def _bare(block: Block) -> Block:
    """Return a block without descriptions and deprecation marks."""
    return {
        "attributes": {name: _bare_attribute(entry) for name, entry in block.get("attributes", {}).items()},
        "block_types": {
            name: {**{key: entry[key] for key in _NESTING if key in entry}, "block": _bare(entry["block"])}
            for name, entry in block.get("block_types", {}).items()
        },
    }


_NESTING = ("nesting_mode", "min_items", "max_items")
_KEPT = ("type", "required", "optional", "computed", "sensitive", "write_only")


def _bare_attribute(attribute: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: attribute[key] for key in _KEPT if key in attribute}
    if nested := attribute.get("nested_type"):
        attributes = {name: _bare_attribute(entry) for name, entry in nested["attributes"].items()}
        kept["nested_type"] = {"attributes": attributes, "nesting_mode": nested["nesting_mode"]}
    return kept


def _line(block: Block) -> str:
    return json.dumps(block, separators=(",", ":"), sort_keys=True)
