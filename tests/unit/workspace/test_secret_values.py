"""Secrets at the moment of handing them over."""

from __future__ import annotations

from dataclasses import replace

import pytest
from harness.settings import load

from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.config.secrets import ENCRYPTED_FILE, PROXIES
from devai_tasks.config.stack import Stack
from devai_tasks.system.errors import MissingToolError
from devai_tasks.workspace import secret_values, state

Patch = pytest.MonkeyPatch
LOCAL_DEV = Stack("dev", "local")
KEPT = "OPENAI_API_KEY: no value on this machine; the stored value is kept\n"


def test_a_proxy_is_looked_for_in_an_encrypted_file_only_where_sops_is(
    project: Project,
    clean_environment: None,  # noqa: ARG001 - for its effect
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("PATH", "/nonexistent")
    (project.root / ENCRYPTED_FILE).write_text("OPENAI_API_KEY: ENC[…]\n", encoding="utf-8")
    settings = load(project, LOCAL_DEV, environ={})
    assert secret_values.proxies(project, settings) == {}
    with pytest.raises(MissingToolError, match="sops is not installed"):
        secret_values.values(project, settings)


def own(project: Project, *overrides: str) -> Settings:
    return load(project, LOCAL_DEV, overrides, environ={})


@pytest.fixture
def brought_up(project: Project, clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> Project:  # noqa: ARG001 - for its effect
    """A project whose stack got a key from a shell that is closed now."""
    monkeypatch.setenv("OPENAI_API_KEY", "of-one-shell")
    hand_over(project, own(project))
    monkeypatch.delenv("OPENAI_API_KEY")
    return project


def hand_over(project: Project, settings: Settings) -> secret_values.Handover:
    """What `inv up` does with the secrets of a stack on this machine."""
    handover = secret_values.beside(project, settings, state.stored_secrets(project, settings.stack))
    state.keep_secrets(project, settings.stack, handover.values)
    return handover


def test_a_secret_without_a_value_here_stays_as_it_is_stored(brought_up: Project) -> None:
    handover = hand_over(brought_up, own(brought_up))
    assert handover.kept == ("OPENAI_API_KEY",)
    assert state.stored_secrets(brought_up, LOCAL_DEV)["OPENAI_API_KEY"] == "of-one-shell"
    assert "of-one-shell" not in repr(handover)


def test_a_secret_that_the_configuration_names_no_longer_goes(brought_up: Project) -> None:
    (brought_up.conf / "common/secrets.yaml").write_text("secrets: {}\n", encoding="utf-8")
    assert hand_over(brought_up, own(brought_up)).kept == ()
    assert "OPENAI_API_KEY" not in state.stored_secrets(brought_up, LOCAL_DEV)


def test_a_text_around_a_secret_without_a_value_is_kept_whole(brought_up: Project, monkeypatch: Patch) -> None:
    address = "secrets.ADDRESS=postgres://lab:${secret:PASSWORD}@db/lab"
    monkeypatch.setenv("PASSWORD", "one")
    hand_over(brought_up, own(brought_up, address))
    monkeypatch.delenv("PASSWORD")
    assert hand_over(brought_up, own(brought_up, address)).values["ADDRESS"] == "postgres://lab:one@db/lab"


def test_what_is_kept_is_told_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    secret_values.report_kept(["OPENAI_API_KEY"])
    assert capsys.readouterr().err == KEPT


def test_of_a_secret_that_a_cloud_has_the_same_is_told(brought_up: Project, capsys: pytest.CaptureFixture[str]) -> None:
    versions = {"JUPYTER_TOKEN": 1, "OPENAI_API_KEY": 1}
    settings = own(brought_up)
    deployed = replace(settings, terraform=replace(settings.terraform, secret_versions=versions))
    assert "OPENAI_API_KEY" not in secret_values.for_a_cloud(brought_up, deployed)
    assert capsys.readouterr().err == KEPT
