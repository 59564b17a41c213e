"""Generated values: reproducible, of the schema's type, and in the form that configurations need."""

from __future__ import annotations

import re
from typing import Any

import pytest

from devai_tasks.offline import values
from devai_tasks.offline.protocol import UNKNOWN, is_unknown

BLOCK: dict[str, Any] = {
    "attributes": {
        "name": {"type": "string", "required": True},
        "id": {"type": "string", "optional": True, "computed": True},
        "arn": {"type": "string", "computed": True},
        "description": {"type": "string", "optional": True},
        "secret_wo": {"type": "string", "optional": True, "write_only": True},
        "ports": {"type": ["list", "number"], "computed": True},
        "identity": {
            "type": ["list", ["object", {"principal_id": "string", "tags": ["map", "string"]}]],
            "computed": True,
        },
    },
    "block_types": {
        "part": {
            "nesting_mode": "list",
            "block": {"attributes": {"id": {"type": "string", "computed": True}}, "block_types": {}},
        }
    },
}
INPUT = {**values.empty(BLOCK), "name": "x", "secret_wo": "hush", "part": [{"id": None}]}


def test_computed_values_are_unknown_in_a_plan_and_write_only_values_are_null() -> None:
    plan = values.planned(BLOCK, INPUT)
    assert [name for name, value in plan.items() if is_unknown(value)] == ["id", "arn", "ports", "identity"]
    assert plan["name"] == "x"
    assert plan["description"] is None
    assert plan["secret_wo"] is None
    assert is_unknown(plan["part"][0]["id"])


def test_apply_generates_the_same_values_every_time() -> None:
    plan = values.planned(BLOCK, INPUT)
    state = values.applied(BLOCK, plan, "aws_thing", {})
    assert state == values.applied(BLOCK, plan, "aws_thing", {})
    assert state["id"] != values.applied(BLOCK, {**plan, "name": "y"}, "aws_thing", {})["id"]
    assert state["ports"] == [1]
    assert re.fullmatch(r"[0-9a-f-]{36}", state["identity"][0]["principal_id"])
    assert state["identity"][0]["tags"] == {}
    assert not is_unknown(state["part"][0]["id"])
    assert state["secret_wo"] is None


def test_resource_without_a_region_has_the_region_of_the_provider() -> None:
    block = {"attributes": {"region": {"type": "string", "optional": True, "computed": True}}, "block_types": {}}
    assert values.applied(block, {"region": UNKNOWN}, "aws_x", {"region": "eu-west-1"}) == {"region": "eu-west-1"}
    assert values.applied(block, {"region": "us-east-1"}, "aws_x", {"region": "eu-west-1"}) == {"region": "us-east-1"}


@pytest.mark.parametrize(
    ("kind", "name", "form"),
    [
        ("aws_efs_file_system", "arn", r"arn:aws:offline:eu-central-1:\d{12}:efs-file-system:[0-9a-f]{12}"),
        ("aws_vpc", "id", r"vpc-[0-9a-f]{12}"),
        ("azurerm_subnet", "id", r"/subscriptions/[0-9a-f-]{36}/resourceGroups/\w+/providers/\w+/subnet/\w+/parts/\w+"),
        ("google_x_y", "id", r"projects/\w+/locations/\w+/x-y/\w+"),
        ("google_compute_address", "address", r"203\.0\.113\.\d{1,3}"),
        ("aws_lb", "dns_name", r"[0-9a-f]{12}\.offline\.invalid"),
        ("azurerm_key_vault", "vault_uri", r"https://[0-9a-f]{12}\.offline\.invalid/"),
        ("azurerm_container_registry", "login_server", r"[0-9a-f]{12}\.offline\.invalid"),
        ("google_service_account", "email", r"[0-9a-f]{12}@offline\.invalid"),
        ("aws_eks_cluster", "platform_version", r"platform-version-[0-9a-f]{12}"),
    ],
)
def test_generated_string_has_the_form_of_its_name(kind: str, name: str, form: str) -> None:
    assert re.fullmatch(form, values.placeholder(name, "string", "seed", kind))
