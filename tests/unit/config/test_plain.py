"""Settings as plain values for output, and selection by key."""

from __future__ import annotations

import json

import pytest
from harness.settings import load

from devai_tasks.config import plain
from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.system.errors import UsageError


@pytest.fixture
def tree(shipped: Project, local_dev: Stack) -> dict[str, object]:
    result = plain.tree(load(shipped, local_dev, environ={}))
    assert isinstance(result, dict)
    return result


def test_settings_are_plain_values_with_quantities_as_written(tree: dict[str, object]) -> None:
    assert tree["ports"] == {"lab": 8888, "ollama": 11434}
    assert tree["resources"] == {
        "lab": {"cpu": "2", "memory": "4Gi", "pids": 4096},
        "ollama": {"cpu": "2", "memory": "8Gi", "pids": 1024},
        "vector_store": {"cpu": "1", "memory": "2Gi", "pids": 1024},
    }
    assert tree["protected"] is False
    assert tree["models"] == ["smollm2:135m"]
    json.dumps(tree)


def test_value_is_selected_by_its_key(tree: dict[str, object]) -> None:
    assert plain.select(tree, "") == tree
    assert plain.select(tree, "ports.lab") == 8888
    assert plain.select(tree, "labels.app.kubernetes.io/part-of") == "devai"


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("ports.labb", "unknown key 'ports.labb'; did you mean ports.lab?"),
        ("prots", "unknown key 'prots'; did you mean ports?"),
        ("ports.lab.x", "unknown key 'ports.lab.x': ports.lab has no keys of its own"),
    ],
)
def test_unknown_key_is_refused_with_the_nearest_name(tree: dict[str, object], key: str, message: str) -> None:
    with pytest.raises(UsageError) as refusal:
        plain.select(tree, key)
    assert message in str(refusal.value)
