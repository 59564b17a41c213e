"""Decryption by SOPS, which is a fake: a script on PATH; tests/contract has the real one."""

from __future__ import annotations

from pathlib import Path

import pytest

from devai_tasks.system import sops
from devai_tasks.system.errors import MissingToolError, ToolError


def test_content_is_returned_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, monkeypatch, "printf 'A: grün'")
    assert sops.decrypt(tmp_path / "secrets.sops.yaml") == "A: grün".encode()


@pytest.mark.parametrize(("body", "reason"), [("echo no key >&2; exit 128", "no key"), ("exit 128", "exit code 128")])
def test_failure_names_the_file_and_quotes_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, reason: str
) -> None:
    put(tmp_path, monkeypatch, f"echo 'API_KEY: hunter2'; {body}")
    with pytest.raises(ToolError) as failure:
        sops.decrypt(tmp_path / "secrets.sops.yaml")
    assert failure.value.message == f"sops can't decrypt secrets.sops.yaml:\n{reason}"
    assert (failure.value.returncode, failure.value.code) == (128, "DEVAI-CONFIG-006")
    assert "hunter2" not in str(failure.value)


def test_missing_program_is_reported_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(MissingToolError, match=r"^s\.yaml is encrypted and sops is not installed; install") as failure:
        sops.decrypt(tmp_path / "s.yaml")
    assert failure.value.code == "DEVAI-CONFIG-005"


def put(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Put a fake `sops` on PATH."""
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    (folder / "sops").write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    (folder / "sops").chmod(0o755)
