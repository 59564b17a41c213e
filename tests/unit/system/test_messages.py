"""Every error of this package keeps what happened and what to do next apart, as its source shows."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[3] / "devai_tasks"


def _takes_hint(name: str) -> bool:
    """Whether it is an error with one message; a ConfigError has several, each with what is allowed."""
    return name.endswith("Error") and name != "ConfigError"


def calls() -> Iterator[ast.Call]:
    """Calls of exceptions, with their place."""
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and _takes_hint(node.func.id):
                node.func.id = f"{file.name}:{node.lineno} {node.func.id}"
                yield node


CALLS = {ast.unparse(call.func): call for call in calls()}


def texts(node: ast.expr) -> str:
    """All texts in an expression, without what they take in."""
    found = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
    return "".join(text for text in found if isinstance(text, str))


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_message_holds_no_command_and_a_code_is_well_formed(call: ast.Call) -> None:
    assert not any("`" in texts(argument) for argument in call.args), "what to do next is the hint"
    named = {keyword.arg: texts(keyword.value) for keyword in call.keywords}
    assert not re.match("[A-Z]", named.get("hint", "")), "a hint follows a semicolon"
    assert re.fullmatch(r"(DEVAI-[A-Z0-9]+-\d{3})*", named.get("code", ""))
