"""Secret values at the moment of deployment."""

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


def test_proxies_need_no_sops_and_other_secrets_do(
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


def settings_of(project: Project, *overrides: str) -> Settings:
    return load(project, LOCAL_DEV, overrides, environ={})


@pytest.fixture
def deployed_project(project: Project, clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> Project:  # noqa: ARG001 - for its effect
    """A project whose stack has a stored key from a variable that is no longer set."""
    monkeypatch.setenv("OPENAI_API_KEY", "a-stored-key")
    store_secrets(project, settings_of(project))
    monkeypatch.delenv("OPENAI_API_KEY")
    return project


def store_secrets(project: Project, settings: Settings) -> secret_values.Handover:
    """Store the secrets of a stack on this machine, as `inv up` does."""
    handover = secret_values.beside(project, settings, state.stored_secrets(project, settings.stack))
    state.keep_secrets(project, settings.stack, handover.values)
    return handover


def test_stored_secret_without_a_value_on_this_machine_is_kept(deployed_project: Project) -> None:
    handover = store_secrets(deployed_project, settings_of(deployed_project))
    assert handover.kept == ("OPENAI_API_KEY",)
    assert state.stored_secrets(deployed_project, LOCAL_DEV)["OPENAI_API_KEY"] == "a-stored-key"
    assert "a-stored-key" not in repr(handover)


def test_secret_that_is_removed_from_the_configuration_is_deleted(deployed_project: Project) -> None:
    (deployed_project.conf / "common/secrets.yaml").write_text("secrets: {}\n", encoding="utf-8")
    assert store_secrets(deployed_project, settings_of(deployed_project)).kept == ()
    assert "OPENAI_API_KEY" not in state.stored_secrets(deployed_project, LOCAL_DEV)


def test_stored_text_with_a_secret_without_a_value_is_kept(deployed_project: Project, monkeypatch: Patch) -> None:
    address = "secrets.ADDRESS=postgres://lab:${secret:PASSWORD}@db/lab"
    monkeypatch.setenv("PASSWORD", "one")
    store_secrets(deployed_project, settings_of(deployed_project, address))
    monkeypatch.delenv("PASSWORD")
    assert (
        store_secrets(deployed_project, settings_of(deployed_project, address)).values["ADDRESS"]
        == "postgres://lab:one@db/lab"
    )


def test_kept_secret_is_reported_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    secret_values.report_kept(["OPENAI_API_KEY"])
    assert capsys.readouterr().err == KEPT


def test_kept_secret_of_a_cloud_is_reported(deployed_project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    versions = {"JUPYTER_TOKEN": 1, "OPENAI_API_KEY": 1}
    settings = settings_of(deployed_project)
    deployed = replace(settings, terraform=replace(settings.terraform, secret_versions=versions))
    assert "OPENAI_API_KEY" not in secret_values.for_a_cloud(deployed_project, deployed)
    assert capsys.readouterr().err == KEPT
