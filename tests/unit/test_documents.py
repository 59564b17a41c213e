"""Commands in README.md and docs/: every task, flag, Make target, Nox session and script in them exists."""

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
# External programs, which are used only in blocks that state their requirements.
EXTERNAL = {"aws", "az", "docker", "gcloud", "kind", "kubectl", "openssl", "source"}
# Commands that every machine has.
SHELL = {"printf"}


def check_task(arguments: list[str]) -> None:
    # Raises an error for an unknown task or flag.
    Parser(initial=ParserContext(args=Program().core_args()), contexts=namespace.to_contexts()).parse_argv(
        arguments[1:]
    )


def check_target(arguments: list[str]) -> None:
    targets = re.findall(r"^([\w -]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    names = [argument for argument in arguments[1:] if "=" not in argument and not argument.startswith("-")]
    assert set(names) <= {name for names in targets for name in names.split()}


def sessions() -> set[str]:
    text = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    functions = re.findall(r"^@nox\.session\b.*\ndef (\w+)\(", text, flags=re.MULTILINE)
    return {name.replace("_", "-") for name in functions}


def check_session(arguments: list[str]) -> None:
    for option, value in itertools.pairwise(arguments):
        assert option != "-s" or value.partition("-3.")[0] in sessions()


PROGRAMS: dict[str, Callable[[list[str]], None]] = {
    "inv": check_task, "devai": check_task, "make": check_target, "nox": check_session,
}  # fmt: skip


def test_documents_have_commands() -> None:
    assert len(BLOCKS) > 20
    assert {"README.md", "docs/tutorials/laptop.md", "docs/tutorials/aws.md"} <= set(documents())


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.location)
def test_every_command_is_valid(block: Block) -> None:
    assert block.marks <= NEEDS | {REFUSED}
    assert block.commands
    for command in block.commands:
        for argv in command.programs:
            name = argv[0].removeprefix(".venv/bin/")
            if name.startswith("scripts/"):
                assert (ROOT / name).is_file()
            elif name in PROGRAMS:
                PROGRAMS[name](argv)
            else:
                assert name in EXTERNAL | SHELL


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.is_runnable], ids=lambda block: block.location)
def test_block_without_requirements_runs_only_commands_of_every_machine(block: Block) -> None:
    assert {argv[0] for command in block.commands for argv in command.programs} <= {"inv", "devai"} | SHELL


def test_ellipsis_in_a_line_matches_any_text() -> None:
    assert first_mismatch(("a…c", "d"), "abc\nd  \n") is None
    assert first_mismatch((), "a\n") is None
    assert first_mismatch(("d", "a…c"), "abc\nd\n") == "d"
    assert first_mismatch(("a",), "ab\n") == "a"
    assert first_mismatch(("a", "c"), "a\nb\nc\n") == "c"
    assert first_mismatch(("a",), "a\nb\n") == "nothing more"


def test_ellipsis_as_a_line_matches_any_lines() -> None:
    assert first_mismatch(("…", "b"), "a\nb\n") is None
    assert first_mismatch(("…", "b"), "b\n") is None
    assert first_mismatch(("a", "…", "c", "d", "…"), "a\nc\nb\nc\nd\ne\n") is None
    assert first_mismatch(("a", "…", "e"), "a\nb\n") == "e"


def test_table_of_checks_has_all_sessions() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text[text.index("## Checks") : text.index("What follows `--`")]
    assert set(re.findall(r"^\| ([\w-]+) \|", table, flags=re.MULTILINE)) - {"session", "---"} == sessions()
