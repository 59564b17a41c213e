"""Secrets: read from the environment or a private file, and never part of a message."""

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


def test_environment_overrides_file_and_missing_secret_is_empty(project: Project) -> None:
    keep(project, "ONE: file\nTWO: file\n")
    values = secrets.resolve(project, ["ONE", "TWO", "THREE"], {"ONE": "environment", "OTHER": "x"})
    assert values == {"ONE": "environment", "TWO": "file", "THREE": ""}


def test_empty_variable_does_not_override_the_file(project: Project) -> None:
    keep(project, "ONE: file\n")
    assert secrets.resolve(project, ["ONE"], {"ONE": ""}) == {"ONE": "file"}


def test_proxy_variable_may_be_lower_case(project: Project) -> None:
    values = secrets.resolve(project, ["HTTPS_PROXY", "ONE"], {"https_proxy": "http://192.0.2.9:3128", "one": "1"})
    assert values == {"HTTPS_PROXY": "http://192.0.2.9:3128", "ONE": ""}


def test_secrets_file_is_optional(project: Project) -> None:
    assert secrets.resolve(project, ["ONE"], {"ONE": "environment"}) == {"ONE": "environment"}


def test_secret_in_the_file_stays_as_written(project: Project) -> None:
    keep(project, "A: 0123\nB: 1.10\nC: on\nD: '~'\nE:\n")
    assert secrets.resolve(project, list("ABCDE"), {}) == {"A": "0123", "B": "1.10", "C": "on", "D": "~", "E": ""}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o666])
def test_file_that_other_users_can_read_is_refused_with_the_command(project: Project, mode: int) -> None:
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
def test_invalid_file_is_refused_with_its_location_but_not_quoted(project: Project, text: str) -> None:
    keep(project, text)
    with pytest.raises(ConfigError) as refusal:
        secrets.resolve(project, ["ONE"], {})
    assert str(refusal.value).startswith("conf/secrets.yaml:")
    assert CANARY not in "".join(traceback.format_exception(refusal.value))


def test_environment_defaults_to_that_of_the_process(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "SOME_SECRET", "value")
    assert secrets.resolve(project, ["SOME_SECRET"]) == {"SOME_SECRET": "value"}


def secret(text: str) -> Secret:
    return Secret.parse(re.sub(r"\$\{secret:(\w+)\}", lambda name: secrets.reference(name[1]), text))


def test_secret_is_masked_in_every_string_conversion() -> None:
    value = secret("postgres://lab:${secret:DB_PASSWORD}@db")
    assert value.reveal({"DB_PASSWORD": CANARY}) == f"postgres://lab:{CANARY}@db"
    assert {str(value), repr(value), f"{value}", f"{value:>3}", "%s" % value} == {"***"}  # noqa: UP031 - under test
    assert "***" in repr({"a": [value]})
    with pytest.raises(TypeError) as refusal:
        json.dumps(value)
    assert CANARY not in str(refusal.value)


def test_secret_has_the_names_of_its_references() -> None:
    assert secret("${secret:B}-${secret:A}-${secret:B}").names == ("B", "A")


def test_secret_with_a_missing_part_is_empty() -> None:
    value = secret("${secret:A}/${secret:B}")
    assert value.reveal({"A": "a", "B": ""}) == value.reveal({"A": "a"}) == ""


def test_string_without_a_reference_is_refused_and_not_quoted() -> None:
    with pytest.raises(ValueError, match="a reference to a secret") as refusal:
        Secret.parse(CANARY)
    assert CANARY not in str(refusal.value)


@pytest.mark.parametrize("name", ["", "a", "A B", "1A", "A-B"])
def test_invalid_name_of_a_secret_is_refused(name: str) -> None:
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
def test_only_references_under_secrets_are_not_masked(text: str, shown: str) -> None:
    assert secrets.masked(text) == shown


def test_encrypted_file_is_decrypted_only_for_missing_secrets(project: Project) -> None:
    decrypted = []

    def decrypt(file: Path) -> bytes:
        decrypted.append(file.name)
        return b"TWO: encrypted\nTHREE: encrypted\n"

    (project.root / secrets.ENCRYPTED_FILE).write_text("cipher", encoding="utf-8")
    keep(project, "TWO: file\n")
    assert secrets.resolve(project, ["ONE", "TWO"], {"ONE": "environment"}, decrypt) == {
        "ONE": "environment",
        "TWO": "file",
    }
    assert decrypted == []
    assert secrets.resolve(project, ["TWO", "THREE"], {}, decrypt) == {"TWO": "file", "THREE": "encrypted"}
    assert decrypted == ["secrets.sops.yaml"]


def test_file_with_invalid_utf_8_is_refused_with_its_name(project: Project) -> None:
    file = keep(project, "")
    file.write_bytes(b"ONE: \xff\xfe")
    with pytest.raises(ConfigError, match=r"conf/secrets\.yaml"):
        secrets.resolve(project, ["ONE"], {})
