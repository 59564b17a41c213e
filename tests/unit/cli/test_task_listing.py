"""Reference of all tasks, compared with the command line; `test_config_tasks` checks that its file is up to date."""

from __future__ import annotations

import re

import pytest

from devai_tasks.cli import task_listing
from devai_tasks.cli.collections import namespace

REFERENCE = task_listing.markdown(namespace)


def section(name: str) -> str:
    """Return the section of a task in the reference."""
    match = re.search(rf"^### inv {re.escape(name)}( ◆)?$(.*?)(?=^##|\Z)", REFERENCE, flags=re.MULTILINE | re.DOTALL)
    assert match, name
    return match[0]


@pytest.mark.parametrize("name", sorted(namespace.task_names))
def test_reference_has_every_task_with_its_docstring(name: str) -> None:
    assert " ".join(str(namespace[name].__doc__).split()) in section(name)


def test_flags_are_written_as_on_the_command_line() -> None:
    apply = section("k8s.apply")
    for spelling in ("`--yes`", "`--seconds=…`", "`--[no-]undo`"):
        assert spelling in apply
    assert "--env" not in apply  # flags of all tasks of a stack are described once, above
    assert "`--service=…`" in section("compose.logs")
    assert "`--lock-id=…`" in section("tf.unlock")
    assert "`DIRECTORY`" in section("new")
    assert "key and new value" in section("config.set")


def test_tasks_of_a_stack_are_marked() -> None:
    assert section("up").startswith("### inv up ◆\n")
    assert section("tf.fmt").startswith("### inv tf.fmt\n")
