"""Failures of the clouds' command lines. The programs are fakes: scripts on PATH."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from devai_tasks.clouds import command_line
from devai_tasks.system.errors import MissingToolError, ToolError

Script = Callable[[str], None]
ASK = ["aws", "sts", "get-caller-identity"]


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """Return a function that puts a fake `aws` on PATH."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def put(body: str) -> None:
        (tmp_path / "aws").write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        (tmp_path / "aws").chmod(0o755)

    return put


def test_output_is_returned_without_its_newline(script: Script) -> None:
    script("echo 123456789012")
    assert command_line.ask(ASK) == "123456789012"


def test_failure_has_command_exit_code_and_standard_error_but_no_output(script: Script) -> None:
    script("echo secret; echo expired >&2; exit 254")
    with pytest.raises(ToolError) as failure:
        command_line.ask(ASK)
    assert type(failure.value) is ToolError
    assert str(failure.value) == "aws sts get-caller-identity failed (exit code 254): expired"
    assert (failure.value.returncode, failure.value.stderr) == (254, "expired")


@pytest.mark.parametrize("reason", ["Could not connect to the endpoint URL", "Max retries exceeded with url"])
def test_network_failure_is_distinguished_from_a_refusal(script: Script, reason: str) -> None:
    script(f"echo '{reason}' >&2; exit 255")
    with pytest.raises(command_line.UnreachableError, match=reason):
        command_line.ask(ASK)
    assert not command_line.finds(ASK)


def test_no_answer_in_time_is_a_network_failure(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_line, "SECONDS", 0.2)
    script("exec sleep 60")
    with pytest.raises(
        command_line.UnreachableError, match=r"^aws sts get-caller-identity failed: no answer in 0\.2 s$"
    ):
        command_line.ask(ASK)


def test_missing_program_is_named_with_its_installer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(MissingToolError, match=r"^aws is not installed; see https://docs\.aws\.amazon\.com/"):
        command_line.ask(ASK)
