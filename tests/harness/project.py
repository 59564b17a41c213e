"""A project of the tests' own."""

from __future__ import annotations

from pathlib import Path

from devai_tasks.config.project import Project
from devai_tasks.operations import scaffold


def fresh(root: Path) -> Project:
    """A new project, as `devai new` writes it: from the wheel's own data where the wheel is installed."""
    scaffold.write(root)
    return Project(root)
