"""A project of version 0.1 with data, and its upgrade as described in docs/upgrading.md."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from devai_tasks.workspace import scaffold

FIXTURE = Path(__file__).parents[1] / "fixtures" / "version-0.1"
MANIFESTS = FIXTURE / "manifests"
# The files of a project that belong to the package. All others, such as conf/ and requirements.txt, are the user's.
PACKAGE_FILES = (".dockerignore", ".gitignore", "Dockerfile", "tasks.py", "deploy", "conf/schema.json")


def copy_project(target: Path) -> None:
    """Copy the project of version 0.1."""
    shutil.copytree(FIXTURE / "project", target)


def upgrade(target: Path) -> None:
    """Overwrite the package's files of version 0.1 with those of this version."""
    with tempfile.TemporaryDirectory() as folder:
        current = Path(folder) / "current"
        scaffold.write(current)
        for name in PACKAGE_FILES:
            if (current / name).is_dir():
                shutil.copytree(current / name, target / name, dirs_exist_ok=True)
            else:
                shutil.copyfile(current / name, target / name)
