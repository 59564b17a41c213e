"""A fresh project, from what the package brings."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import devai_tasks
from devai_tasks.config.project import Project
from devai_tasks.system.errors import UsageError

# What a project consists of, as against what only this package's own repository has.
PARTS = (
    ".dockerignore",
    ".gitignore",
    "Dockerfile",
    "conf",
    "deploy",
    "requirements.txt",
    "tasks.py",
    "work/welcome.ipynb",
)
# What is one file behind two names; a wheel knows no links.
LINKS = {"Dockerfile.gpu": "Dockerfile"}
# Files of one person or one machine, which a repository in use may hold.
PRIVATE = (
    "conf/personal.yaml",
    "conf/secrets.sops.yaml",
    "conf/secrets.yaml",
    "deploy/compose/.env",
    "deploy/compose/docker-compose.override.yml",
    "deploy/compose/token",
)
# Characters of `project.name`.
LONGEST_NAME = 30
# Where the wheel has its copy of them.
PACKED = "devai_tasks/project"


def write(target: Path) -> None:
    """Write a project. Raises UsageError where that would touch existing files."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target} exists and is not empty; nothing was written")
    # Who has the folder may change what is in it, and the project is code.
    if target.is_symlink() or (target.exists() and target.stat().st_uid != os.geteuid()):
        raise UsageError(
            f"{target} is a link, or another user's folder; nothing was written", hint="name one of your own"
        )
    copy(source(), target)


def source() -> Path:
    """Return the folder with the parts of a fresh project."""
    installed = Path(devai_tasks.__file__).parents[1]
    packed = installed / PACKED
    # An editable install has no copy: the repository is the source.
    return packed if packed.is_dir() else installed


def name_of(folder: Path) -> str:
    """Return the project's name for a folder: its name, reduced to what `project.name` allows."""
    words = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-")
    name = words if words[:1].isalpha() else f"lab-{words}"
    return name[:LONGEST_NAME].strip("-")


def identify(target: Path) -> str:
    """Name a fresh project after its folder, and give it an identity of its own; returns the name."""
    from devai_tasks.workspace import ownership  # setup.py imports this module where nothing is installed yet

    name = name_of(target)
    ownership.write(Project(target), name=name, id=ownership.new_id())
    return name


def copy(source: Path, target: Path) -> None:
    """Copy the parts of a project, without what is private."""

    def private(folder: str, names: list[str]) -> set[str]:
        inside = Path(folder).relative_to(source)
        made = ("__pycache__", ".terraform")
        return {name for name in names if (inside / name).as_posix() in PRIVATE or name in made}

    target.mkdir(parents=True, exist_ok=True)
    for name, original in LINKS.items():
        (target / name).unlink(missing_ok=True)
        (target / name).symlink_to(original)
    for part in PARTS:
        if (source / part).is_dir():
            shutil.copytree(source / part, target / part, ignore=private, dirs_exist_ok=True)
        else:
            (target / part).parent.mkdir(exist_ok=True)
            shutil.copyfile(source / part, target / part)
