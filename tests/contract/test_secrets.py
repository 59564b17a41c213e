"""Secrets that SOPS encrypts: the real program decrypts them on use, and no output shows them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.kubernetes.releases import SOPS
from harness.prerequisites import skip_or_fail
from harness.settings import load

from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.system.errors import MissingToolError, ToolError
from devai_tasks.workspace import secret_values

CANARY = "c4n4ry-0123456789"
LOCAL_DEV = Stack("dev", "local")
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def programs() -> Path:
    """The folder with `sops` and `age-keygen`, built in CI if needed."""
    if not SOPS.folder.is_dir() and os.environ.get("CI") != "true":
        skip_or_fail("sops is not built; `nox -s cluster` builds it")
    return SOPS.programs()


@pytest.fixture
def key(programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The public part of a new age key; sops finds the private part by its environment variable."""
    file = tmp_path / "key.txt"
    subprocess.run([programs / "age-keygen", "-o", file], check=True, capture_output=True)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", str(file))
    return file.read_text(encoding="utf-8").partition("# public key: ")[2].split()[0]


@pytest.fixture
def encrypted(project: Project, key: str, clean_environment: None) -> Project:  # noqa: ARG001 - for its effect
    """A project with encrypted secrets."""
    file = project.conf / "secrets.sops.yaml"
    text = f"OPENAI_API_KEY: {CANARY}\nDB_PASSWORD: '0123'\n"
    command = ["sops", "encrypt", f"--age={key}", "--input-type=yaml", "--filename-override=conf/secrets.sops.yaml"]
    file.write_bytes(
        subprocess.run([*command, "/dev/stdin"], input=text.encode(), check=True, capture_output=True).stdout
    )
    assert CANARY not in file.read_text(encoding="utf-8")
    return project


def values(project: Project) -> dict[str, str]:
    overrides = ["secrets.DATABASE_URL=postgres://lab:${secret:DB_PASSWORD}@db/lab"]
    return secret_values.values(project, load(project, LOCAL_DEV, overrides, environ={}))


def test_encrypted_secret_is_decrypted_unchanged(encrypted: Project) -> None:
    result = values(encrypted)
    assert result["OPENAI_API_KEY"] == CANARY
    assert result["DATABASE_URL"] == "postgres://lab:0123@db/lab"
    assert result["ANTHROPIC_API_KEY"] == ""


def test_environment_and_private_file_override_encrypted_secrets(
    encrypted: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "environment")
    file = encrypted.conf / "secrets.yaml"
    file.write_text("DB_PASSWORD: file\n", encoding="utf-8")
    file.chmod(0o600)
    assert values(encrypted)["OPENAI_API_KEY"] == "environment"
    assert values(encrypted)["DATABASE_URL"] == "postgres://lab:file@db/lab"


def test_missing_key_fails_without_showing_secrets(encrypted: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOPS_AGE_KEY_FILE")
    with pytest.raises(ToolError, match=r"sops can't decrypt secrets\.sops\.yaml:") as error:
        values(encrypted)
    assert CANARY not in str(error.value)


def test_missing_sops_program_is_reported(encrypted: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with pytest.raises(MissingToolError, match=r"secrets\.sops\.yaml is encrypted and sops is not installed"):
        values(encrypted)


def test_decrypted_secrets_are_neither_printed_nor_rendered(encrypted: Project, cli: Run) -> None:
    for arguments in (
        ["config.show"],
        ["config.explain", "--key=secrets", "--json"],
        ["config.render"],
        ["config.check"],
    ):
        result = cli("devai", *arguments, DEVAI_TRACEBACK="1")
        assert result.returncode == 0, result.stderr
        assert CANARY not in result.stdout + result.stderr
    files = [file for file in (encrypted.root / "generated").rglob("*") if file.is_file()]
    assert len(files) > 2
    assert not [file for file in files if CANARY.encode() in file.read_bytes()]
