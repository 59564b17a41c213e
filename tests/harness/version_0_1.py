"""A project of version 0.1 with data in it, and its upgrade as docs/upgrading.md has it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from devai_tasks.workspace import scaffold

FIXTURE = Path(__file__).parents[1] / "fixtures" / "version-0.1"
MANIFESTS = FIXTURE / "manifests"
# The package's own files in a project; all others, conf/ and requirements.txt among them, are the user's.
PACKAGE_FILES = (".dockerignore", ".gitignore", "Dockerfile", "tasks.py", "deploy", "conf/schema.json")


def copy_project(target: Path) -> None:
    """Copy the project as version 0.1 left it."""
    shutil.copytree(FIXTURE / "project", target)


def upgrade(target: Path) -> None:
    """Put the package's files of this version over those of the older one."""
    with tempfile.TemporaryDirectory() as folder:
        newer = Path(folder) / "newer"
        scaffold.write(newer)
        for name in PACKAGE_FILES:
            if (newer / name).is_dir():
                shutil.copytree(newer / name, target / name, dirs_exist_ok=True)
            else:
                shutil.copyfile(newer / name, target / name)
