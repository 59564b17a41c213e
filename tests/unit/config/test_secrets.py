"""Secrets: from the environment or one private file, and in no message."""

from __future__ import annotations

import json
import os
import re
import traceback
from pathlib import Path

import pytest

from devai_tasks.config import secrets
from devai_tasks.config.project import Project
from devai_tasks.config.secrets import Secret
from devai_tasks.system.errors import ConfigError, UsageError

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


def test_a_proxy_is_also_taken_from_small_letters(project: Project) -> None:
    found = secrets.resolve(project, ["HTTPS_PROXY", "ONE"], {"https_proxy": "http://192.0.2.9:3128", "one": "1"})
    assert found == {"HTTPS_PROXY": "http://192.0.2.9:3128", "ONE": ""}


def test_without_a_file_the_environment_is_enough(project: Project) -> None:
    assert secrets.resolve(project, ["ONE"], {"ONE": "environment"}) == {"ONE": "environment"}


def test_a_secret_stays_what_was_written(project: Project) -> None:
    keep(project, "A: 0123\nB: 1.10\nC: on\nD: '~'\nE:\n")
    assert secrets.resolve(project, list("ABCDE"), {}) == {"A": "0123", "B": "1.10", "C": "on", "D": "~", "E": ""}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o666])
def test_a_file_that_others_can_read_is_refused_with_the_way_out(project: Project, mode: int) -> None:
    keep(project, f"ONE: {CANARY}\n", mode)
    with pytest.raises(UsageError, match=r"is readable by other users; `chmod 600 conf/secrets.yaml`") as refusal:
        secrets.resolve(project, ["ONE"], {})
    assert CANARY not in str(refusal.value)
    assert refusal.value.code == "DEVAI-CONFIG-004"


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


def secret(text: str) -> Secret:
    return Secret.parse(re.sub(r"\$\{secret:(\w+)\}", lambda name: secrets.reference(name[1]), text))


def test_a_secret_is_shown_to_nobody() -> None:
    held = secret("postgres://lab:${secret:DB_PASSWORD}@db")
    assert held.reveal({"DB_PASSWORD": CANARY}) == f"postgres://lab:{CANARY}@db"
    assert {str(held), repr(held), f"{held}", f"{held:>3}", "%s" % held} == {"***"}  # noqa: UP031 - each way there is
    assert "***" in repr({"a": [held]})
    with pytest.raises(TypeError) as refusal:
        json.dumps(held)
    assert CANARY not in str(refusal.value)


def test_a_secret_names_what_it_refers_to() -> None:
    assert secret("${secret:B}-${secret:A}-${secret:B}").names == ("B", "A")


def test_a_secret_of_which_a_part_is_unknown_is_empty() -> None:
    held = secret("${secret:A}/${secret:B}")
    assert held.reveal({"A": "a", "B": ""}) == held.reveal({"A": "a"}) == ""


def test_a_text_without_a_reference_is_no_secret_and_not_quoted() -> None:
    with pytest.raises(ValueError, match="a reference to a secret") as refusal:
        Secret.parse(CANARY)
    assert CANARY not in str(refusal.value)


@pytest.mark.parametrize("name", ["", "a", "A B", "1A", "A-B"])
def test_what_is_no_name_of_a_secret_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a name for a secret"):
        secrets.reference(name)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (CANARY, "***"),
        ("${secret:A}", "${secret:A}"),
        ("${secrets.A}", "${secrets.A}"),
        (f"lab:{CANARY}@${{secret:A}}/${{.B}}", "***${secret:A}***${.B}"),
        (f"${{secret:{CANARY}}}", "***"),
        (f"${{{CANARY}}}", "***"),
        (f"${{oc.env:A,{CANARY}}}", "***"),
    ],
)
def test_of_what_stands_under_secrets_only_references_are_shown(text: str, shown: str) -> None:
    assert secrets.masked(text) == shown


def test_an_encrypted_file_is_opened_for_what_the_others_lack_only(project: Project) -> None:
    opened = []

    def decrypt(file: Path) -> bytes:
        opened.append(file.name)
        return b"TWO: encrypted\nTHREE: encrypted\n"

    (project.root / secrets.ENCRYPTED_FILE).write_text("cipher", encoding="utf-8")
    keep(project, "TWO: file\n")
    assert secrets.resolve(project, ["ONE", "TWO"], {"ONE": "environment"}, decrypt) == {
        "ONE": "environment",
        "TWO": "file",
    }
    assert opened == []
    assert secrets.resolve(project, ["TWO", "THREE"], {}, decrypt) == {"TWO": "file", "THREE": "encrypted"}
    assert opened == ["secrets.sops.yaml"]


def test_a_file_that_is_no_text_is_refused_with_its_name(project: Project) -> None:
    file = keep(project, "")
    file.write_bytes(b"ONE: \xff\xfe")
    with pytest.raises(ConfigError, match=r"conf/secrets\.yaml"):
        secrets.resolve(project, ["ONE"], {})
