"""Projects for Terraform itself, which works on recorded schemas here: no cloud, no credentials, no registry."""

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
    """Terraform or OpenTofu as it comes, without one person's settings."""
    monkeypatch.delenv("TF_CLI_CONFIG_FILE", raising=False)
    monkeypatch.delenv("DEVAI_PROVIDER_DIR", raising=False)
    try:
        client.find("auto")
    except MissingToolError as error:
        skip_or_fail(str(error))


@pytest.fixture
def small(project: Project) -> Project:
    """A fresh project with a root of a few resources for AWS."""
    shutil.rmtree(project.root / "deploy/terraform")
    shutil.copytree(SMALL_ROOT, project.root / "deploy/terraform")
    return project
