"""A project of version 0.1 with data, and its upgrade as described in docs/upgrading.md."""

from __future__ import annotations

import shutil
from pathlib import Path

from devai_tasks.config.project import Project
from devai_tasks.stack import configuration_migration

FIXTURE = Path(__file__).parents[1] / "fixtures" / "version-0.1"
MANIFESTS = FIXTURE / "manifests"


def copy_project(target: Path) -> None:
    """Copy the project of version 0.1."""
    shutil.copytree(FIXTURE / "project", target)


def upgrade(target: Path) -> None:
    """Migrate the project to this version."""
    configuration_migration.plan(Project(target)).write()
