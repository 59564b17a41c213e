"""Projects for tests that are git repositories."""

from __future__ import annotations

import subprocess
from pathlib import Path

from devai_tasks.config.project import Project
from harness.project import fresh


def committed(root: Path) -> Project:
    """Create a project with one commit."""
    project = fresh(root)
    git(root, "init", "--quiet")
    git(root, "remote", "add", "origin", "https://someone:a-token@git.example.com/lab.git")
    commit(root)
    return project


def commit(root: Path) -> str:
    """Commit all files; return the commit's hash."""
    git(root, "add", "--all")
    git(root, "-c", "user.name=tests", "-c", "user.email=tests@example.com", "commit", "--quiet", "--message=tests")
    return git(root, "rev-parse", "HEAD")


def git(root: Path, *arguments: str) -> str:
    """Run git; return its output."""
    return subprocess.run(["git", "-C", root, *arguments], capture_output=True, text=True, check=True).stdout.strip()
