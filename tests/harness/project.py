"""Projects for tests."""

from __future__ import annotations

from pathlib import Path

from devai_tasks.config.project import Project
from devai_tasks.workspace import scaffold


def fresh(root: Path) -> Project:
    """Create a project as `devai new` does; if the wheel is installed, from the wheel's data."""
    scaffold.write(root)
    return Project(root)


def declare(project: Project, *variables: str) -> None:
    """Declare environment variables that the project's values may use."""
    text = f"variables: [{', '.join(variables)}]\n"
    (project.conf / "common/variables.yaml").write_text(text, encoding="utf-8")
