"""Every error in the package's source has its message, hint and code in separate arguments."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[3] / "devai_tasks"


def _takes_hint(name: str) -> bool:
    """Whether a class is an error with one message; a ConfigError has several, each with the allowed values."""
    return name.endswith("Error") and name != "ConfigError"


def calls() -> Iterator[ast.Call]:
    """Yield calls of errors, with their location as the name of the function."""
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and _takes_hint(node.func.id):
                node.func.id = f"{file.name}:{node.lineno} {node.func.id}"
                yield node


CALLS = {ast.unparse(call.func): call for call in calls()}


def texts(node: ast.expr) -> str:
    """Return all strings in an expression, without interpolated values."""
    constants = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
    return "".join(text for text in constants if isinstance(text, str))


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_message_has_no_command_and_code_is_well_formed(call: ast.Call) -> None:
    assert not any("`" in texts(argument) for argument in call.args), "the next command belongs in the hint"
    arguments = {keyword.arg: texts(keyword.value) for keyword in call.keywords}
    assert not re.match("[A-Z]", arguments.get("hint", "")), "a hint follows a semicolon"
    assert re.fullmatch(r"(DEVAI-[A-Z0-9]+-\d{3})*", arguments.get("code", ""))
