"""Changes of a saved plan: as a table, as JSON and for a pull request."""

from __future__ import annotations

from typing import Any

import pytest

from devai_tasks.targets.terraform.saved_plan import Plan, parse


def change(address: str, *actions: str, **change: Any) -> dict[str, Any]:
    return {"address": address, "change": {"actions": list(actions), "before": None, "after": None, **change}}


DOCUMENT = {
    "resource_changes": [
        change("a.same", "no-op", before={"x": 1}, after={"x": 1}),
        change("data.b.read", "read"),
        change("c.new", "create", after={"x": 1}),
        change("d.gone", "delete", before={"x": 1}),
        change("e.other", "update", before={"x": 1, "y": 2, "z": 3}, after={"x": 5, "y": 2}, after_unknown={"z": True}),
        change("f.again", "delete", "create", before={"n": 1}, after={"n": 2}, replace_paths=[["n"], ["m", 0]]),
        change("g.first", "create", "delete", before={}, after={}),
    ],
    "output_changes": {"url": {"actions": ["update"]}, "same": {"actions": ["no-op"]}},
}


def test_changes_have_kind_address_and_changed_attributes() -> None:
    plan = parse(DOCUMENT)
    assert [(change_.kind, change_.address, change_.attributes) for change_ in plan.changes] == [
        ("created", "c.new", ()),
        ("changed", "e.other", ("x",)),
        ("replaced", "f.again", ("m", "n")),
        ("replaced", "g.first", ()),
        ("destroyed", "d.gone", ()),
    ]
    assert plan.outputs == ("url",)
    assert plan.destructive_changes == ["f.again", "g.first", "d.gone"]
    assert plan.sentence == "1 created, 1 changed, 2 replaced, 1 destroyed"


def test_no_value_is_reported() -> None:
    secret = {"resource_changes": [change("a.b", "update", before={"password": "old"}, after={"password": "new"})]}
    plan = parse(secret)
    assert plan.changes[0].attributes == ("password",)
    assert "new" not in f"{plan}{plan.as_json()}{plan.markdown('x')}"


def test_new_secrets_and_new_versions_are_written() -> None:
    document = {
        "resource_changes": [
            change('module.secrets.google_secret_manager_secret_version.this["NEW"]', "create", after={}),
            change('aws_secretsmanager_secret_version.this["AGAIN"]', "delete", "create", before={}, after={}),
            change(
                'azurerm_key_vault_secret.this["OTHER"]', "update", before={"value_wo_version": 1, "tags": {}},
                after={"value_wo_version": 2, "tags": {}},
            ),
            change('azurerm_key_vault_secret.this["LABELS"]', "update", before={"tags": {}}, after={"tags": {"a": 1}}),
            change('azurerm_key_vault_secret.this["GONE"]', "delete", before={}),
            change('google_secret_manager_secret_iam_member.this["READER"]', "create", after={}),
        ]
    }  # fmt: skip
    assert sorted(parse(document).secrets) == ["AGAIN", "NEW", "OTHER"]


@pytest.mark.parametrize(
    ("plan", "sentence"),
    [(Plan((), ()), "no changes"), (Plan((), ("url",)), "no resource changes; 1 outputs change")],
)
def test_plan_without_changes_is_reported(plan: Plan, sentence: str) -> None:
    assert plan.sentence == sentence
    assert plan.is_empty == (sentence == "no changes")


def test_pull_request_has_a_table_and_the_note() -> None:
    assert parse(DOCUMENT).markdown("aws-dev", "a note").splitlines()[:6] == [
        "### aws-dev: 1 created, 1 changed, 2 replaced, 1 destroyed",
        "",
        "> a note",
        "",
        "| | resource | what |",
        "| --- | --- | --- |",
    ]
