"""Provider schema snapshots: only the types that the project uses, with the origin of each snapshot."""

from __future__ import annotations

from pathlib import Path

import pytest

from devai_tasks.offline.recording import Snapshot, Used, of_real_provider, read, shipped

ROOTS = Path(__file__).parents[3] / "deploy/terraform"
USED = Used.below(ROOTS)


def test_every_type_in_use_has_a_snapshot() -> None:
    assert USED.resources
    assert USED.missing(shipped()) == []


@pytest.mark.parametrize("snapshot", shipped(), ids=lambda snapshot: snapshot.name)
def test_snapshot_has_its_origin_and_only_types_in_use(snapshot: Snapshot) -> None:
    assert snapshot.source == f"registry.terraform.io/hashicorp/{snapshot.name}"
    assert snapshot.version.count(".") == 2
    assert "(PyPI)" in snapshot.origin or "built from" in snapshot.origin
    assert set(snapshot.resources) <= USED.resources
    assert set(snapshot.data) <= USED.data


def test_type_without_a_snapshot_is_reported(tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text(
        'resource "aws_unknown" "x" {}\ndata "aws_missing" "y" {}\nresource "terraform_data" "z" {}\n', encoding="utf-8"
    )
    assert Used.below(tmp_path).missing(shipped()) == ["aws_unknown", "data.aws_missing"]


def test_snapshot_round_trips(tmp_path: Path) -> None:
    for snapshot in shipped():
        assert read(snapshot.write(tmp_path)) == snapshot


def test_snapshot_of_a_real_provider_has_no_descriptions() -> None:
    attribute = {"type": "string", "description": "long", "optional": True, "computed": True, "write_only": True}
    block = {
        "attributes": {"a": attribute},
        "block_types": {"b": {"nesting_mode": "list", "max_items": 1, "block": {}}},
    }
    schemas = {"provider_schemas": {"x/y": {"provider": {"block": {}}, "resource_schemas": {"y_z": {"block": block}}}}}
    snapshot = of_real_provider(schemas, "x/y", "1.2.3", "a test")
    assert snapshot.resources["y_z"] == {
        "attributes": {"a": {"type": "string", "optional": True, "computed": True, "write_only": True}},
        "block_types": {"b": {"nesting_mode": "list", "max_items": 1, "block": {"attributes": {}, "block_types": {}}}},
    }
    assert snapshot.data == {}
