"""A project of the tests' own."""

from __future__ import annotations

from pathlib import Path

from devai_tasks.config.project import Project
from devai_tasks.workspace import scaffold


def fresh(root: Path) -> Project:
    """A new project, as `devai new` writes it: from the wheel's own data where the wheel is installed."""
    scaffold.write(root)
    return Project(root)


def declare(project: Project, *variables: str) -> None:
    """Have a project's values take in variables of the environment."""
    text = f"variables: [{', '.join(variables)}]\n"
    (project.conf / "common/variables.yaml").write_text(text, encoding="utf-8")
