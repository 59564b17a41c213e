"""The reference of all tasks says what the command line says; `test_config_tasks` holds that the file is up to date."""

from __future__ import annotations

import re

import pytest

from devai_tasks.cli import task_listing
from devai_tasks.cli.collections import namespace

REFERENCE = task_listing.markdown(namespace)


def section(name: str) -> str:
    """What the reference says of a task."""
    found = re.search(rf"^### inv {re.escape(name)}( ◆)?$(.*?)(?=^##|\Z)", REFERENCE, flags=re.MULTILINE | re.DOTALL)
    assert found, name
    return found[0]


@pytest.mark.parametrize("name", sorted(namespace.task_names))
def test_every_task_is_there_with_its_sentence(name: str) -> None:
    assert " ".join(str(namespace[name].__doc__).split()) in section(name)


def test_flags_are_spelt_as_they_are_typed() -> None:
    apply = section("k8s.apply")
    for spelling in ("`--yes`", "`--seconds=…`", "`--[no-]undo`"):
        assert spelling in apply
    assert "--env" not in apply  # as all tasks of a stack: said once, above
    assert "`--service=…`" in section("compose.logs")
    assert "`--lock-id=…`" in section("tf.unlock")
    assert "`DIRECTORY`" in section("new")
    assert "key and new value" in section("config.set")


def test_what_a_task_of_a_stack_is_can_be_seen() -> None:
    assert section("up").startswith("### inv up ◆\n")
    assert section("tf.fmt").startswith("### inv tf.fmt\n")
