"""Versions of programs, with real programs."""

from __future__ import annotations

import sys

import pytest

from devai_tasks.system import programs


def test_version_of_a_program_is_parsed_from_its_output() -> None:
    output = programs.answer([sys.executable, "--version"])
    assert programs.version(output) == sys.version.partition(" ")[0].rstrip("+")
    assert programs.answer(["no-such-program", "--version"]) is None
    assert programs.answer([sys.executable, "-c", "raise SystemExit(1)"]) is None


@pytest.mark.parametrize(
    ("output", "version"),
    [
        ("Docker version 28.2.2, build e6534b4", "28.2.2"),
        ("github.com/docker/buildx v0.29.1 a32761a", "0.29.1"),
        ("v2.40.3-desktop.1", "2.40.3"),
        ("no numbers", None),
        (None, None),
    ],
)
def test_first_version_in_the_output_is_used(output: str | None, version: str | None) -> None:
    assert programs.version(output) == version


def test_versions_are_compared_as_numbers() -> None:
    assert programs.parse("20.10.24+dfsg1") > (20, 10)
    assert programs.parse("2.9.1") < (2, 20)
