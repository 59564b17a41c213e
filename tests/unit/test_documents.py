"""Every command in README and docs/ is one: the task, its flags, the target, the session, the script are there."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

import pytest
from harness.documents import NEEDS, REFUSED, ROOT, Block, blocks, documents, first_mismatch
from invoke.parser import Parser
from invoke.parser.context import ParserContext
from invoke.program import Program

from devai_tasks.cli.collections import namespace

BLOCKS = [block for document in documents() for block in blocks(document)]
# Programs of others: they stand in blocks that say what they need.
OTHERS = {"aws", "az", "docker", "gcloud", "kind", "kubectl", "openssl", "source"}
# What every machine has.
SHELL = {"printf"}


def a_task(words: list[str]) -> None:
    # Raises for a task or flag that isn't there.
    Parser(initial=ParserContext(args=Program().core_args()), contexts=namespace.to_contexts()).parse_argv(words[1:])


def a_target(words: list[str]) -> None:
    targets = re.findall(r"^([\w -]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    names = [word for word in words[1:] if "=" not in word and not word.startswith("-")]
    assert set(names) <= {name for names in targets for name in names.split()}


def sessions() -> set[str]:
    text = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    functions = re.findall(r"^@nox\.session\b.*\ndef (\w+)\(", text, flags=re.MULTILINE)
    return {name.replace("_", "-") for name in functions}


def a_session(words: list[str]) -> None:
    for option, value in itertools.pairwise(words):
        assert option != "-s" or value.partition("-3.")[0] in sessions()


PROGRAMS: dict[str, Callable[[list[str]], None]] = {
    "inv": a_task, "devai": a_task, "make": a_target, "nox": a_session,
}  # fmt: skip


def test_documents_have_commands() -> None:
    assert len(BLOCKS) > 20
    assert {"README.md", "docs/tutorials/laptop.md", "docs/tutorials/aws.md"} <= set(documents())


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.location)
def test_every_command_can_be_typed(block: Block) -> None:
    assert block.marks <= NEEDS | {REFUSED}
    assert block.commands
    for command in block.commands:
        for words in command.programs:
            name = words[0].removeprefix(".venv/bin/")
            if name.startswith("scripts/"):
                assert (ROOT / name).is_file()
            elif name in PROGRAMS:
                PROGRAMS[name](words)
            else:
                assert name in OTHERS | SHELL


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.is_runnable], ids=lambda block: block.location)
def test_what_says_of_no_need_can_be_run_anywhere(block: Block) -> None:
    assert {words[0] for command in block.commands for words in command.programs} <= {"inv", "devai"} | SHELL


def test_a_promise_is_all_lines_with_what_differs_left_out() -> None:
    assert first_mismatch(("a…c", "d"), "abc\nd  \n") is None
    assert first_mismatch((), "a\n") is None
    assert first_mismatch(("d", "a…c"), "abc\nd\n") == "d"
    assert first_mismatch(("a",), "ab\n") == "a"
    assert first_mismatch(("a", "c"), "a\nb\nc\n") == "c"
    assert first_mismatch(("a",), "a\nb\n") == "nothing more"


def test_lines_that_a_document_leaves_out_are_a_line_of_its_own() -> None:
    assert first_mismatch(("…", "b"), "a\nb\n") is None
    assert first_mismatch(("…", "b"), "b\n") is None
    assert first_mismatch(("a", "…", "c", "d", "…"), "a\nc\nb\nc\nd\ne\n") is None
    assert first_mismatch(("a", "…", "e"), "a\nb\n") == "e"


def test_the_table_of_checks_has_all_sessions() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text[text.index("## Checks") : text.index("What follows `--`")]
    assert set(re.findall(r"^\| ([\w-]+) \|", table, flags=re.MULTILINE)) - {"session", "---"} == sessions()
