"""New project, created from the files that the package contains."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

import devai_tasks
from devai_tasks.config.project import Project
from devai_tasks.system import files
from devai_tasks.system.errors import UsageError

# Files and folders of a project; others exist only in this package's own repository.
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
# The parts that belong to the package: a new version replaces them in a project. The other parts belong to the user.
PACKAGE_PARTS = (".dockerignore", ".gitignore", "Dockerfile", "conf/schema.json", "deploy", "tasks.py")
# Symbolic links and their targets; a wheel can't contain links.
LINKS = {"Dockerfile.gpu": "Dockerfile"}
# Files of one user or one machine, which a repository in use may contain.
PRIVATE = (
    "conf/personal.yaml",
    "conf/secrets.sops.yaml",
    "conf/secrets.yaml",
    "deploy/compose/.env",
    "deploy/compose/docker-compose.override.yml",
    "deploy/compose/token",
)
# Folders that tools create.
_GENERATED = frozenset({"__pycache__", ".terraform"})
# Maximum length of `project.name`, in characters.
LONGEST_NAME = 30
# Folder of the wheel that contains a copy of the parts.
PACKED = "devai_tasks/project"


def write(target: Path) -> None:
    """Write a project to a folder. Raises UsageError if the folder is not empty or belongs to another user."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target} exists and is not empty; nothing was written")
    # The owner of the folder may change the project, which is code.
    if target.is_symlink() or (target.exists() and target.stat().st_uid != os.geteuid()):
        raise UsageError(
            f"{target} is a link, or another user's folder; nothing was written", hint="name a folder of yours"
        )
    copy(source(), target)


def source() -> Path:
    """Return the folder that contains the parts of a new project."""
    installed = Path(devai_tasks.__file__).parents[1]
    packed = installed / PACKED
    # An editable install contains no copy: the repository is the source.
    return packed if packed.is_dir() else installed


def name_of(folder: Path) -> str:
    """Return a project name from a folder's name, reduced to what `project.name` allows."""
    slug = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-")
    name = slug if slug[:1].isalpha() else f"lab-{slug}"
    return name[:LONGEST_NAME].strip("-")


def identify(target: Path) -> str:
    """Name a new project after its folder, and write a new project ID; return the name."""
    from devai_tasks.workspace import ownership  # setup.py imports this module before dependencies are installed

    name = name_of(target)
    ownership.write(Project(target), name=name, id=ownership.new_id())
    return name


def outdated(project: Project) -> list[str]:
    """Return the package's files that are missing in a project, or differ from this version of the package."""
    packed = source()
    parts = [packed / part for part in PACKAGE_PARTS]
    paths = [path for part in parts for path in (part.rglob("*") if part.is_dir() else [part]) if path.is_file()]
    names = sorted(path.relative_to(packed) for path in paths)
    return [
        name.as_posix()
        for name in names
        if name.as_posix() not in PRIVATE
        and not _GENERATED.intersection(name.parts)
        and not _equal(packed / name, project.root / name)
    ]


def _equal(left: Path, right: Path) -> bool:
    return right.is_file() and left.read_bytes() == right.read_bytes()


def update(project: Project, names: Iterable[str]) -> None:
    """Replace files in a project by those of this version of the package."""
    for name in names:
        packed, target = source() / name, project.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        files.replace(target, packed.read_bytes(), packed.stat().st_mode & 0o777)


def copy(source: Path, target: Path) -> None:
    """Copy the parts of a project, without private and generated files."""

    def private(folder: str, names: list[str]) -> set[str]:
        inside = Path(folder).relative_to(source)
        return {name for name in names if (inside / name).as_posix() in PRIVATE or name in _GENERATED}

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
