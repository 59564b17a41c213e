"""Secrets: from the environment or one private file, and in no message."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

import pytest

from devai_tasks.config import secrets
from devai_tasks.config.project import Project
from devai_tasks.errors import ConfigError, UsageError

CANARY = "c4n4ry"


def keep(project: Project, text: str, mode: int = 0o600) -> Path:
    file = project.root / secrets.FILE
    file.write_text(text, encoding="utf-8")
    file.chmod(mode)
    return file


def test_a_secret_comes_from_the_environment_else_from_the_file_else_it_is_empty(project: Project) -> None:
    keep(project, "ONE: file\nTWO: file\n")
    found = secrets.resolve(project, ["ONE", "TWO", "THREE"], {"ONE": "environment", "OTHER": "x"})
    assert found == {"ONE": "environment", "TWO": "file", "THREE": ""}


def test_an_empty_variable_does_not_hide_the_file(project: Project) -> None:
    keep(project, "ONE: file\n")
    assert secrets.resolve(project, ["ONE"], {"ONE": ""}) == {"ONE": "file"}


def test_without_a_file_the_environment_is_enough(project: Project) -> None:
    assert secrets.resolve(project, ["ONE"], {"ONE": "environment"}) == {"ONE": "environment"}


def test_a_secret_stays_what_was_written(project: Project) -> None:
    keep(project, "A: 0123\nB: 1.10\nC: on\nD: '~'\nE:\n")
    assert secrets.resolve(project, list("ABCDE"), {}) == {"A": "0123", "B": "1.10", "C": "on", "D": "~", "E": ""}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o666])
def test_a_file_that_others_can_read_is_refused_with_the_way_out(project: Project, mode: int) -> None:
    keep(project, f"ONE: {CANARY}\n", mode)
    with pytest.raises(UsageError, match=r"can be read by others; `chmod 600 conf/secrets.yaml`") as refusal:
        secrets.resolve(project, ["ONE"], {})
    assert CANARY not in str(refusal.value)


@pytest.mark.parametrize(
    "text",
    [
        f"ONE: [{CANARY}]",
        f"ONE: {{A: {CANARY}}}",
        f"ONE: *{CANARY}",
        f"ONE: !{CANARY} x",
        f"ONE: '{CANARY}",
        f"ONE: %{CANARY}",
        f"ONE: {CANARY}: {CANARY}",
        CANARY,
        f"- {CANARY}",
        f"? [{CANARY}]\n: x",
    ],
)
def test_a_broken_file_is_refused_with_its_place_and_without_what_stands_there(project: Project, text: str) -> None:
    keep(project, text)
    with pytest.raises(ConfigError) as refusal:
        secrets.resolve(project, ["ONE"], {})
    assert str(refusal.value).startswith("conf/secrets.yaml:")
    assert CANARY not in "".join(traceback.format_exception(refusal.value))


def test_the_environment_is_that_of_the_process_unless_another_is_given(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "SOME_SECRET", "value")
    assert secrets.resolve(project, ["SOME_SECRET"]) == {"SOME_SECRET": "value"}
