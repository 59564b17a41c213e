"""Which scanner is used, and what it is asked; tests/registry has a real one look at a real image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from devai_tasks.system.errors import MissingToolError, ToolError, UsageError
from devai_tasks.targets.image import scanners

Put = Callable[..., None]


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Put:
    """At the edge: a function that puts a stand-in for a scanner on PATH, which prints what it was called as."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))

    def script(name: str, code: int = 0, output: str = '"$*"') -> None:
        (tmp_path / name).write_text(f"#!/bin/sh\necho {output}\nexit {code}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)

    return script


def test_the_one_that_sees_most_is_taken(put: Put) -> None:
    with pytest.raises(MissingToolError, match="none of trivy, grype and pip-audit is installed"):
        scanners.find()
    for name in ("pip-audit", "grype", "trivy"):
        put(name)
        assert scanners.find().name == name
    assert scanners.find("grype").name == "grype"


def test_one_that_is_asked_for_has_to_be_there(put: Put) -> None:
    put("trivy")
    with pytest.raises(MissingToolError, match="grype is not installed"):
        scanners.find("grype")
    with pytest.raises(UsageError, match="did you mean trivy"):
        scanners.find("trivi")


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("trivy", "image --exit-code=3 lab:1 --format=json"),
        ("grype", "--fail-on=negligible lab:1 --output=json"),
    ],
)
def test_scanners_of_images_get_its_name(put: Put, name: str, asked: str) -> None:
    put(name)
    found = scanners.scan(scanners.find(), "lab:1", {"a": "1"}, json=True)
    assert (found.text.strip(), found.any) == (asked, False)


@pytest.mark.parametrize(("name", "code"), [("trivy", 3), ("grype", 2), ("pip-audit", 1)])
def test_weaknesses_are_told_from_a_scanner_that_could_not_look(put: Put, name: str, code: int) -> None:
    put(name, code, "weak")
    assert scanners.scan(scanners.find(), "lab:1", {}, json=False).any
    put(name, code, ">&2 no network")
    with pytest.raises(ToolError, match=f"^{name} failed .*: no network$"):
        scanners.scan(scanners.find(), "lab:1", {}, json=False)
    put(name, 9, "weak")
    with pytest.raises(ToolError, match="exit code 9"):
        scanners.scan(scanners.find(), "lab:1", {}, json=False)
