"""docs/troubleshooting.md quotes messages that are printed: each of its headings is in the code, word for word."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
HEADINGS = re.findall(r"^### (.+)$", DOCUMENT, flags=re.MULTILINE)


def texts() -> Iterator[str]:
    """The texts in the code; what an f-string takes in is `…`."""
    for file in (ROOT / "devai_tasks").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


TEXTS = list(texts())


@pytest.mark.parametrize("heading", HEADINGS)
def test_every_message_is_one_that_the_code_has(heading: str) -> None:
    quoted = re.fullmatch("`(.+)`", heading)
    assert quoted, "a message stands in backquotes"
    parts = [re.escape(part) for part in quoted[1].split("…")]
    pattern = re.compile(".*?".join(parts), flags=re.DOTALL)
    assert any(pattern.search(text) for text in TEXTS)


def test_no_message_is_explained_twice() -> None:
    assert len(HEADINGS) > 40
    assert len(set(HEADINGS)) == len(HEADINGS)
