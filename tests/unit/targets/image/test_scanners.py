"""Selection, arguments and results of scanners; tests/registry runs a real scanner on a real image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from devai_tasks.system.errors import MissingToolError, ToolError, UsageError
from devai_tasks.targets.image import scanners

Put = Callable[..., None]


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Put:
    """Return a function that puts a fake scanner on PATH, which prints its arguments."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))

    def script(name: str, code: int = 0, output: str = '"$*"') -> None:
        (tmp_path / name).write_text(f"#!/bin/sh\necho {output}\nexit {code}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)

    return script


def test_most_complete_scanner_is_selected(put: Put) -> None:
    with pytest.raises(MissingToolError, match="none of trivy, grype and pip-audit is installed"):
        scanners.find()
    for name in ("pip-audit", "grype", "trivy"):
        put(name)
        assert scanners.find().name == name
    assert scanners.find("grype").name == "grype"


def test_requested_scanner_must_be_installed(put: Put) -> None:
    put("trivy")
    with pytest.raises(MissingToolError, match="grype is not installed"):
        scanners.find("grype")
    with pytest.raises(UsageError, match="did you mean trivy"):
        scanners.find("trivi")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("trivy", "image --exit-code=3 lab:1 --format=json"),
        ("grype", "--fail-on=negligible lab:1 --output=json"),
    ],
)
def test_scanners_of_images_get_the_name_of_the_image(put: Put, name: str, arguments: str) -> None:
    put(name)
    result = scanners.scan(scanners.find(), "lab:1", {"a": "1"}, json=True)
    assert (result.text.strip(), result.any) == (arguments, False)


@pytest.mark.parametrize(("name", "code"), [("trivy", 3), ("grype", 2), ("pip-audit", 1)])
def test_vulnerabilities_are_distinguished_from_a_failed_scan(put: Put, name: str, code: int) -> None:
    put(name, code, "weak")
    assert scanners.scan(scanners.find(), "lab:1", {}, json=False).any
    put(name, code, ">&2 no network")
    with pytest.raises(ToolError, match=f"^{name} failed .*: no network$"):
        scanners.scan(scanners.find(), "lab:1", {}, json=False)
    put(name, 9, "weak")
    with pytest.raises(ToolError, match="exit code 9"):
        scanners.scan(scanners.find(), "lab:1", {}, json=False)
