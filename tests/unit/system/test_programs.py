"""Programs that are asked for their version: with the real ones."""

from __future__ import annotations

import sys

import pytest

from devai_tasks.system import programs


def test_a_program_is_asked_for_its_version() -> None:
    said = programs.answer([sys.executable, "--version"])
    assert programs.version(said) == sys.version.partition(" ")[0].rstrip("+")
    assert programs.answer(["no-such-program", "--version"]) is None
    assert programs.answer([sys.executable, "-c", "raise SystemExit(1)"]) is None


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("Docker version 28.2.2, build e6534b4", "28.2.2"),
        ("github.com/docker/buildx v0.29.1 a32761a", "0.29.1"),
        ("v2.40.3-desktop.1", "2.40.3"),
        ("no numbers", None),
        (None, None),
    ],
)
def test_the_first_version_that_is_said_counts(said: str | None, version: str | None) -> None:
    assert programs.version(said) == version


def test_versions_are_compared_as_numbers() -> None:
    assert programs.parse("20.10.24+dfsg1") > (20, 10)
    assert programs.parse("2.9.1") < (2, 20)
