"""Secrets at the moment of handing them over."""

from __future__ import annotations

import pytest

from devai_tasks.config.load import load
from devai_tasks.config.project import Project
from devai_tasks.config.secrets import ENCRYPTED_FILE, PROXIES
from devai_tasks.config.stack import Stack
from devai_tasks.errors import ToolMissing
from devai_tasks.operations import secrets


def test_a_proxy_is_looked_for_in_an_encrypted_file_only_where_sops_is(
    project: Project,
    nobodys_environment: None,  # noqa: ARG001 - for its effect
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("PATH", "/nonexistent")
    (project.root / ENCRYPTED_FILE).write_text("OPENAI_API_KEY: ENC[…]\n", encoding="utf-8")
    settings = load(project, Stack("dev", "local"), environ={})
    assert secrets.proxies(project, settings) == {}
    with pytest.raises(ToolMissing, match="sops is not installed"):
        secrets.values(project, settings)
