"""Recorded schemas: all that the project's own configuration uses, and no more, with where they come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from devai_tasks.offline.recording import Snapshot, Used, of_real_provider, read, shipped

ROOTS = Path(__file__).parents[3] / "deploy/terraform"
USED = Used.below(ROOTS)


def test_every_type_in_use_is_recorded() -> None:
    assert USED.resources
    assert USED.missing(shipped()) == []


@pytest.mark.parametrize("recording", shipped(), ids=lambda recording: recording.name)
def test_a_recording_says_what_it_is_of_and_holds_nothing_that_nobody_uses(recording: Snapshot) -> None:
    assert recording.source == f"registry.terraform.io/hashicorp/{recording.name}"
    assert recording.version.count(".") == 2
    assert "(PyPI)" in recording.origin or "built from" in recording.origin
    assert set(recording.resources) <= USED.resources
    assert set(recording.data) <= USED.data


def test_a_type_without_a_recording_is_named(tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text(
        'resource "aws_nobody" "x" {}\ndata "aws_nothing" "y" {}\nresource "terraform_data" "z" {}\n', encoding="utf-8"
    )
    assert Used.below(tmp_path).missing(shipped()) == ["aws_nobody", "data.aws_nothing"]


def test_a_recording_is_read_as_it_was_written(tmp_path: Path) -> None:
    for recording in shipped():
        assert read(recording.write(tmp_path)) == recording


def test_a_real_providers_schema_is_recorded_without_its_prose() -> None:
    attribute = {"type": "string", "description": "long", "optional": True, "computed": True, "write_only": True}
    block = {
        "attributes": {"a": attribute},
        "block_types": {"b": {"nesting_mode": "list", "max_items": 1, "block": {}}},
    }
    schemas = {"provider_schemas": {"x/y": {"provider": {"block": {}}, "resource_schemas": {"y_z": {"block": block}}}}}
    found = of_real_provider(schemas, "x/y", "1.2.3", "a test")
    assert found.resources["y_z"] == {
        "attributes": {"a": {"type": "string", "optional": True, "computed": True, "write_only": True}},
        "block_types": {"b": {"nesting_mode": "list", "max_items": 1, "block": {"attributes": {}, "block_types": {}}}},
    }
    assert found.data == {}
