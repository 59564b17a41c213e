"""Whose credentials these are, and the store for the state. The clouds' command lines are stand-ins: scripts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from devai_tasks.config.load import load
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.config.stack import Stack
from devai_tasks.errors import DevaiError, ToolMissing, UsageError
from devai_tasks.operations import clouds

PROGRAMS = {"aws": "aws", "azure": "az", "gcp": "gcloud"}
Answer = Callable[[str], None]


@pytest.fixture(params=PROGRAMS)
def cloud(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def settings(shipped: Project, cloud: str) -> Settings:
    return load(shipped, Stack("dev", cloud), environ={})


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cloud: str) -> Answer:
    """Have the cloud's command line run a line of shell, and note what it was called with."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def make(line: str) -> None:
        file = tmp_path / PROGRAMS[cloud]
        file.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/called\n{line}\n', encoding="utf-8")
        file.chmod(0o755)

    return make


def test_credentials_of_the_stacks_own_account_pass(settings: Settings, script: Answer) -> None:
    script(f"echo {settings.terraform.account}")
    clouds.check_account(settings)


def test_those_of_another_are_refused_by_both_names(settings: Settings, script: Answer) -> None:
    script("echo somebody-elses")
    with pytest.raises(UsageError, match=r"are those of .* somebody-elses, and .*-dev belongs to ") as refused:
        clouds.check_account(settings)
    assert settings.terraform.account in str(refused.value)
    assert any(way in str(refused.value) for way in ("`export AWS_PROFILE", "`az account set", "`gcloud config set"))


def test_who_is_not_logged_in_is_told_how(settings: Settings, script: Answer) -> None:
    script("echo expired >&2; exit 1")
    with pytest.raises(DevaiError, match="nobody is logged in: ") as refused:
        clouds.check_account(settings)
    assert "expired" in str(refused.value)


def test_a_network_that_swallows_all_is_not_waited_for(
    settings: Settings, script: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devai_tasks.tools.cloud.SECONDS", 0.2)
    script("exec sleep 60")
    with pytest.raises(DevaiError, match=r"is there a network\?\n.*no answer in 0\.2 s"):
        clouds.check_account(settings)


def test_without_the_command_line_nothing_goes_on(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ToolMissing, match="is not installed; https://"):
        clouds.check_account(settings)


def test_the_store_is_made_once(settings: Settings, script: Answer, tmp_path: Path) -> None:
    made = tmp_path / "made"
    script(f'case "$*" in *head-bucket*|*account\\ show*|*describe*) test -e {made};; *) touch {made};; esac')
    assert clouds.bootstrap(settings)
    calls = (tmp_path / "called").read_text(encoding="utf-8")
    assert clouds.state_store(settings).name in calls
    assert not clouds.bootstrap(settings)
    assert len((tmp_path / "called").read_text(encoding="utf-8").splitlines()) == len(calls.splitlines()) + 1


@pytest.mark.parametrize("cloud", ["gcp"])
def test_google_answers_terraform_before_there_is_anything_to_plan(
    settings: Settings, script: Answer, tmp_path: Path
) -> None:
    """A fresh project has nothing switched on, and Terraform's own request to switch it on is one of those."""
    script('case "$*" in *describe*) exit 1;; esac')
    assert clouds.bootstrap(settings)
    _, enable, create, *_ = (tmp_path / "called").read_text(encoding="utf-8").splitlines()
    assert enable.startswith("services enable ")
    assert {"cloudresourcemanager.googleapis.com", "serviceusage.googleapis.com", "compute.googleapis.com"} <= {
        *enable.split()
    }
    assert f"--project={settings.terraform.account}" in enable
    assert create.startswith("storage buckets create")


def test_the_store_is_closed_and_keeps_versions(settings: Settings) -> None:
    commands = " ".join(word for command in clouds.state_store(settings).make for word in command)
    assert "versioning" in commands
    assert "public" in commands
    assert settings.terraform.region in commands
