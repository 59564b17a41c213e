"""docs/troubleshooting.md explains every error code of the package, each once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
ENTRIES, _, NOTICES = DOCUMENT.partition("\n## Notices\n")
HEADINGS = re.findall(r"^### (.+)$", ENTRIES, flags=re.MULTILINE)
EXPLAINED = [heading.partition(":")[0] for heading in HEADINGS]
SOURCES = [file.read_text(encoding="utf-8") for file in (ROOT / "devai_tasks").rglob("*.py")]
# A code is a separate literal in the source: code="DEVAI-K8S-003".
USED = {code for source in SOURCES for code in re.findall(r'"(DEVAI-[^"]*)"', source)}
CODE = re.compile(r"DEVAI-([A-Z][A-Z0-9]+)-(\d{3})")


def test_document_has_entries() -> None:
    assert len(HEADINGS) > 70
    assert "### " in NOTICES


@pytest.mark.parametrize("heading", HEADINGS)
def test_heading_is_a_code_and_a_message(heading: str) -> None:
    code, colon, message = heading.partition(": ")
    assert CODE.fullmatch(code)
    assert colon
    assert message.strip()


@pytest.mark.parametrize("code", sorted(USED))
def test_code_in_the_source_is_well_formed(code: str) -> None:
    assert CODE.fullmatch(code)


@pytest.mark.parametrize("code", EXPLAINED)
def test_explained_code_is_used_in_the_source(code: str) -> None:
    assert code in USED


@pytest.mark.parametrize("code", sorted(USED))
def test_code_in_the_source_has_an_entry(code: str) -> None:
    assert code in EXPLAINED


def test_no_code_is_explained_twice() -> None:
    assert len(set(EXPLAINED)) == len(EXPLAINED)


def test_every_code_that_the_document_refers_to_has_an_entry() -> None:
    example = "DEVAI-K8S-003"
    assert example in EXPLAINED
    assert set(re.findall(r"DEVAI-\w+-\d+", DOCUMENT)) == set(EXPLAINED)


def test_codes_of_a_section_are_numbered_in_order() -> None:
    numbers: dict[str, list[int]] = {}
    for code in EXPLAINED:
        if match := CODE.fullmatch(code):
            numbers.setdefault(match[1], []).append(int(match[2]))
    assert all(listed == sorted(listed) for listed in numbers.values()), numbers
