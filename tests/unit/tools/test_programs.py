"""Programs that are asked for their version, and packages that bring one: with the real ones."""

from __future__ import annotations

import sys

import pytest

from devai_tasks.system.errors import ToolError
from devai_tasks.tools import pip, programs


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


def test_what_is_installed_already_is_installed_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PIP_NO_INDEX", "UV_OFFLINE"):
        monkeypatch.setenv(name, "1")
    pip.install(["invoke"])
    with pytest.raises(ToolError, match="can't install no-such-package-of-ours"):
        pip.install(["no-such-package-of-ours"])
