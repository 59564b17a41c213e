"""Projects for the real Terraform with provider schema snapshots: without cloud, credentials and registry."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from harness.prerequisites import skip_or_fail

from devai_tasks.config.project import Project
from devai_tasks.system.errors import MissingToolError
from devai_tasks.targets.terraform import client

SMALL_ROOT = Path(__file__).with_name("small_root")


@pytest.fixture(autouse=True)
def program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Require Terraform or OpenTofu, and ignore the user's settings for it."""
    monkeypatch.delenv("TF_CLI_CONFIG_FILE", raising=False)
    monkeypatch.delenv("DEVAI_PROVIDER_DIR", raising=False)
    try:
        client.find("auto")
    except MissingToolError as error:
        skip_or_fail(str(error))


@pytest.fixture
def small(project: Project) -> Project:
    """A new project with a root of a few AWS resources."""
    shutil.rmtree(project.root / "deploy/terraform")
    shutil.copytree(SMALL_ROOT, project.root / "deploy/terraform")
    return project
