"""The folder of this machine that the lab shows as ~/work: which one it may be, and how it is created.

Whoever writes a notebook, or a model that is asked for one, may change all that is in it.
"""

from __future__ import annotations

import os
import pwd
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import devai_tasks
from devai_tasks import state
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.errors import UsageError
from devai_tasks.operations import scaffold
from devai_tasks.render import compose
from devai_tasks.tools.docker import Docker

# Where the lab has it.
TARGET = "/home/devai/work"
# What the tasks, git or an editor run, or keep for themselves, in a project.
_PROGRAMS = ("conf", "deploy", "generated", "scripts", ".devai", ".git", ".github", ".venv", ".vscode")
# Of Linux and of macOS.
_SYSTEM = (
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr", "/var/lib", "/var/run",
    "/var/spool", "/Applications", "/Library", "/System",
)  # fmt: skip
_NOTICE = "work-dir"


def check(project: Project, settings: Settings, docker: Docker) -> None:
    """Raise UsageError for a folder that is dangerous and not meant, or that is no longer where the notebooks are.

    Of the second, a stack is told once: with the same configuration, the next call passes.
    """
    named, found = settings.storage.work_dir, danger(project, settings)
    if found and not settings.storage.allow_unsafe_work_dir:
        raise UsageError(
            f"storage.work_dir = {named}: {found}. Nothing was changed\n{_choice(project, settings, refused=True)}"
        )
    if found or docker.dry or not _was_project(project, settings, docker):
        return
    if state.is_first(project, settings.stack, _NOTICE):
        raise UsageError(
            f"~/work was the project's folder so far, and is {named}/ from now on: what lies beside it is no longer "
            "shown in the lab. Nothing was changed, and the next `inv up` does it\n"
            f"{_choice(project, settings, refused=False)}"
        )


def create(project: Project, settings: Settings) -> None:
    """Create the folder where it is one of the project's, for whoever the lab runs as; not by the engine, as root.

    Raises UsageError where another one is missing: it may be on a disk that is not mounted.
    """
    named, folder = settings.storage.work_dir, _folder(project, settings)
    if folder.is_dir():
        return
    if folder.exists() or not _contains(project.root.resolve(), folder):
        raise UsageError(f"storage.work_dir: there is no folder {named}; make it, or name another")
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir()
        if os.geteuid() == 0:
            os.chown(path, settings.engine.uid, settings.engine.gid, follow_symlinks=False)


def is_created(project: Project, settings: Settings) -> bool:
    """Whether the folder is missing, and `up` creates it."""
    folder = _folder(project, settings)
    return not folder.exists() and _contains(project.root.resolve(), folder)


def danger(project: Project, settings: Settings) -> str:
    """What a notebook could do by the folder, beyond its own files; empty for a folder that is for notebooks only."""
    root, folder = project.root.resolve(), _folder(project, settings)
    if programs := _programs(root, folder):
        return f"that is {programs}, and a notebook could change what the next task runs outside of the lab"
    return "" if _contains(root, folder) else _elsewhere(folder)


def _programs(root: Path, folder: Path) -> str:
    """How a folder has something in it that the tasks run; empty where it has not."""
    if _contains(folder, root):
        return "the project itself" if _contains(root, folder) else "a folder with the project in it"
    if inside := [name for name in _PROGRAMS if _contains(root / name, folder)]:
        return f"in {inside[0]}/ of the project"
    package = Path(devai_tasks.__file__).parent.resolve()
    return "where the tasks are installed" if _contains(folder, package) or _contains(package, folder) else ""


def _elsewhere(folder: Path) -> str:
    """What a folder outside of the project has in it that is not for notebooks."""
    for home in _homes():
        if _contains(folder, home):
            return "your home is in it, with your keys and with what runs when you log in"
        if any(_is_same(above.parent, home) and above.name.startswith(".") for above in (folder, *folder.parents)):
            return "that is where programs keep their settings and keys in your home"
    if any(_contains(system, folder) or _contains(folder, system.resolve()) for system in map(Path, _SYSTEM)):
        return "that is a folder of the system, and a notebook could change what runs outside of the lab"
    return ""


def _folder(project: Project, settings: Settings) -> Path:
    """The folder itself, whatever links lead there."""
    return (project.root / settings.storage.work_dir).resolve()


def _contains(folder: Path, path: Path) -> bool:
    """Whether a folder is a path without links, or above it, by whatever name: a link, other letters, another mount."""
    return any(_is_same(folder, above) for above in (path, *path.parents))


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return one == other


def _homes() -> Iterator[Path]:
    """The caller's home: that of the shell, and that of the account."""
    with suppress(RuntimeError):
        yield Path.home().resolve()
    with suppress(KeyError):
        yield Path(pwd.getpwuid(os.geteuid()).pw_dir).resolve()


def _was_project(project: Project, settings: Settings, docker: Docker) -> bool:
    """Whether the lab's container, or else the last `up`, had the project's folder as ~/work."""
    containers = docker.containers(compose.project_name(settings))
    mounts = [row["mounts"] for row in containers if row["service"] == compose.LAB]
    before = state.remembered(project, settings.stack) or {}
    sources = [mount.get(TARGET) for mount in mounts] or [before.get("storage", {}).get("work_dir")]
    return any(_is_same(project.root / source, project.root) for source in sources if source)


def _choice(project: Project, settings: Settings, *, refused: bool) -> str:
    """The two commands: notebooks in a folder of their own, or a dangerous folder, deliberately."""
    own = "work" if refused else shlex.quote(settings.storage.work_dir)
    apart = f"mkdir -p {own}"
    if not refused or _is_same(_folder(project, settings), project.root):
        apart += f" && mv -n -- {shlex.join(_notebooks(project.root)) or 'NOTEBOOKS'} {own}/"
    setting = "inv config.set --set=storage"
    if refused:
        apart += f" && {setting}.work_dir={own}"
        meant = f"{setting}.allow_unsafe_work_dir=true"
    else:
        meant = f"{setting}.work_dir=. --set=storage.allow_unsafe_work_dir=true"
    return f"  notebooks in a folder of their own: `{apart}`\n  or all as it was, deliberately: `{meant}`"


def _notebooks(root: Path) -> list[str]:
    """What has notebooks in it among what lies in the project and is no part of one."""
    parts = {Path(part).parts[0] for part in (*scaffold.PARTS, *scaffold.LINKS, *_PROGRAMS)}
    return sorted(
        entry.name
        for entry in root.iterdir()
        if entry.name not in parts
        and not entry.name.startswith(".")
        and (entry.suffix == ".ipynb" or any(entry.glob("*.ipynb")) or any(entry.glob("*/*.ipynb")))
    )
