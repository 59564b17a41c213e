"""JSON schema for editors, which accepts the same layers as the reader, and reference of all keys."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
import yaml

from devai_tasks.config import reader
from devai_tasks.config.configuration import dotted
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.stack import affected, key_reference


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = key_reference.json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_every_shipped_layer_is_valid(shipped: Project, validator: jsonschema.Draft202012Validator) -> None:
    files = [
        file for folder in ("common", "clouds", "profiles", "stacks") for file in (shipped.conf / folder).iterdir()
    ]
    assert len(files) > 20
    for file in files:
        errors = list(validator.iter_errors(yaml.safe_load(file.read_text(encoding="utf-8"))))
        assert not errors, file


@pytest.mark.parametrize(
    "layer",
    [
        {"ports": {"lab": "${ports.ollama}"}},
        {"ports": "${other}"},
        {"resources": {"lab": {"cpu": 2}}},
        {"resources": {"lab": {"cpu": 0.5, "memory": "512Mi"}}},
        {"env": {"A": True, "B": 1.10, "C": "text"}},
        {"secrets": {"A": "postgres://lab:${secret:DB}@db"}},
        {"models": ["a:b", "./file.gguf"]},
        {"protected": True},
        {"ollama": {"keep_alive": "2h"}},
    ],
)
def test_valid_layer_is_accepted(layer: dict[str, Any], validator: jsonschema.Draft202012Validator) -> None:
    assert validator.is_valid(layer)


@pytest.mark.parametrize(
    "layer",
    [
        {"prots": {}},
        {"ports": {"labb": 1}},
        {"ports": {"lab": 0}},
        {"ports": {"lab": 65536}},
        {"ports": {"lab": "many"}},
        {"resources": {"lab": {"memory": "4Gib"}}},
        {"resources": {"lab": {"cpu": "two"}}},
        {"ollama": {"mode": "contaner"}},
        {"ollama": {"keep_alive": "5"}},
        {"protected": "yes"},
        {"env": {"1A": "b"}},
        {"env": {"A": ["b"]}},
        {"secrets": {"A": "the value itself"}},
        {"models": "one"},
        {"project": {"name": "Devai"}},
    ],
)
def test_invalid_layer_is_refused(layer: dict[str, Any], validator: jsonschema.Draft202012Validator) -> None:
    assert not validator.is_valid(layer)


def test_schema_describes_every_key() -> None:
    described = json.dumps(key_reference.json_schema())
    for key, entry in reader.leaves(Settings).items():
        assert json.dumps(entry.meta.doc)[1:-1] in described, dotted(key)


def test_reference_has_a_row_with_affected_files_for_every_key() -> None:
    rows = {
        line.split("`")[1]: line
        for line in key_reference.markdown(affected.anywhere()).splitlines()
        if line.startswith("| `")
    }
    for key in reader.leaves(Settings):
        assert not rows[dotted(key)].endswith("| nothing |")
    assert "compose: .env" in rows["ports.lab"]
    assert "from `inv image.push`" in rows["image.digest"]
