"""The folder of this machine that the lab shows as ~/work: which one it may be, and how it is created.

Whoever writes a notebook, or a model that is asked for one, may change all that is in it.
"""

from __future__ import annotations

import os
import pwd
import shlex
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import devai_tasks
from devai_tasks.config import naming
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.engine.docker import Docker
from devai_tasks.system import console
from devai_tasks.system.errors import UsageError
from devai_tasks.system.files import is_same
from devai_tasks.workspace import scaffold, state, work_folders

# Where the lab has it.
TARGET = "/home/devai/work"
# What the tasks, tests or an editor run, or keep for themselves, in a project; all that is hidden is so, too.
_PROGRAMS = ("devai_tasks", "docs", "generated", "scripts", "tests")
# What comes with a project; its folder for notebooks is for them.
_PARTS = tuple({Path(part).parts[0] for part in (*scaffold.PARTS, *scaffold.LINKS)} - {"work"})
# By what a folder is known as a project of these tools, or as one of git.
_MARKERS = ("tasks.py", "conf/common", ".devai")
_GIT = ".git"
# Of Linux and of macOS: with all that is below them, and those below which people have folders of their own.
_SYSTEM = (
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr", "/var/backups",
    "/var/cache", "/var/lib", "/var/log", "/var/mail", "/var/run", "/var/spool", "/Applications", "/Library", "/System",
)  # fmt: skip
_SHARED = ("/home", "/opt", "/srv", "/tmp", "/var/tmp", "/Users", "/Volumes")  # noqa: S108 - compared only
# What the programs that people type in a project run or obey, wherever they are called: inv and git look for it there
# first, a shell with direnv by `cd` alone. Whoever calls npm or pytest in a folder of notebooks means what is there.
_OBEYED = {
    "inv": ("tasks.py", "tasks/__init__.py"),
    "nox": ("noxfile.py",),
    "make": ("GNUmakefile", "makefile", "Makefile"),
    "git": (_GIT, "HEAD"),  # by HEAD, the folder itself is a repository
    "direnv": (".envrc",),
}
# What keeps such a file from being run.
SAFELY = "type commands in the project's folder, or use `devai`, which runs nothing of it"
_NOTICE = "work-dir"


def check(project: Project, settings: Settings, docker: Docker) -> None:
    """Raise UsageError for a folder that is dangerous and not meant, or that is no longer where the notebooks are.

    Of the second, a stack is told once: with the same configuration, the next call passes.
    """
    if check_danger(project, settings) or docker.dry or not _was_project(project, settings, docker):
        return
    named = settings.storage.work_dir
    if state.is_first(project, settings.stack, _NOTICE):
        raise UsageError(
            f"~/work was the project's folder so far, and is {named}/ from now on: what lies beside it is no longer "
            "shown in the lab\nnothing was changed",
            hint=f"the next `inv up` does it\n{_choice(project, settings, refused=False)}",
        )


def check_danger(project: Project, settings: Settings) -> str:
    """Raise UsageError for a folder that is dangerous as it is now and not meant; returns the danger that is meant."""
    found = danger(project, settings)
    if found and not settings.storage.allow_unsafe_work_dir:
        raise UsageError(
            f"storage.work_dir = {settings.storage.work_dir}: {found}\nnothing was changed",
            hint=_choice(project, settings, refused=True),
        )
    return found


def create(project: Project, settings: Settings) -> None:
    """Create the folder where it is one of the project's, for whoever the lab runs as; not by the engine, as root.

    From now on it is known on this machine as one that notebooks write to.

    Raises UsageError where another one is missing: it may be on a disk that is not mounted.
    """
    folder = located(project, settings)
    if not folder.is_dir():
        _make(project, settings, folder)
    work_folders.record(work_folders.WorkFolder(folder, project.root.resolve(), str(settings.stack)))


def _make(project: Project, settings: Settings, folder: Path) -> None:
    if folder.exists() or not _contains(project.root.resolve(), folder):
        named = settings.storage.work_dir
        raise UsageError(f"storage.work_dir: there is no folder {named}", hint="make it, or name another")
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir()
        if os.geteuid() == 0:
            os.chown(path, settings.engine.uid, settings.engine.gid, follow_symlinks=False)


def is_created(project: Project, settings: Settings) -> bool:
    """Whether the folder is missing, and `up` creates it."""
    folder = located(project, settings)
    return not folder.exists() and _contains(project.root.resolve(), folder)


def obeyed(project: Project, settings: Settings) -> str:
    """What is at the top of the folder that a program runs or obeys when it is called there; empty for nothing."""
    folder = located(project, settings)
    found = {name: program for program, names in _OBEYED.items() for name in names if os.path.lexists(folder / name)}
    if not found:
        return ""
    named, programs = ", ".join(found), " and ".join(dict.fromkeys(found.values()))
    return f"notebooks can write {named} in {folder}, which {programs} would run or obey there, outside of the lab"


def warn(project: Project, settings: Settings) -> None:
    """Say what a program would run or obey that is called in the folder; not of one that is dangerous, and meant."""
    if not danger(project, settings) and (found := obeyed(project, settings)):
        console.warn(f"{found}; {SAFELY}")


def danger(project: Project, settings: Settings) -> str:
    """What a notebook could do by the folder, beyond its own files; empty for a folder that is for notebooks only."""
    root, folder = project.root.resolve(), located(project, settings)
    if programs := _programs(root, folder):
        return f"that is {programs}, and a notebook could change what the next task runs outside of the lab"
    if other := _nested(project, settings, folder):
        return f"{other}, whose notebooks could put a link in its place"
    if _contains(root, folder):
        # What it holds itself may be of notebooks: `warn` tells of that.
        return _project_above(path for path in folder.parents if path != root and _contains(root, path))
    return _elsewhere(folder)


def _nested(project: Project, settings: Settings, folder: Path) -> str:
    """How the folder lies in that of another stack, or has it in it; empty where it does neither."""
    root = project.root.resolve()
    named = Path(os.path.normpath(root / settings.storage.work_dir))
    for known in work_folders.known():
        other, of_project = known.folder, is_same(known.root, root)
        if (of_project and known.stack == str(settings.stack)) or is_same(folder, other) or is_same(other, root):
            continue
        whose = known.stack if of_project else f"{known.stack} of {known.root}"
        if _contains(other, folder) or _contains(other, named):
            return f"it lies in the work folder of {whose}"
        if _contains(folder, other):
            return f"the work folder of {whose} lies in it"
    return ""


def _programs(root: Path, folder: Path) -> str:
    """How a folder has something in it that the tasks run; empty where it has not."""
    if _contains(folder, root):
        return "the project itself" if _contains(root, folder) else "a folder with the project in it"
    if inside := [name for name in (*_PROGRAMS, *_PARTS) if _contains(root / name, folder)]:
        return f"in {inside[0]}/ of the project"
    if hidden := _hidden(root, folder):
        return f"in {hidden}/ of the project"
    for installed in (Path(devai_tasks.__file__).parent.resolve(), Path(sys.prefix).resolve()):
        if _contains(installed, folder) or _contains(folder, installed):
            return "where the tasks are installed"
    return ""


def _elsewhere(folder: Path) -> str:
    """What a folder outside of the project has in it that is not for notebooks."""
    system = (_contains(path, folder) or _contains(folder, path.resolve()) for path in map(Path, _SYSTEM))
    if any(system) or any(_contains(folder, path.resolve()) for path in map(Path, _SHARED)):
        return "that is a folder of the system, and a notebook could change what runs outside of the lab"
    for home, whose in _homes().items():
        if _contains(folder, home):
            return f"{whose} home is in it, with keys and with what runs at a login"
        if _hidden(home, folder):
            return f"that is where programs keep their settings and keys in {whose} home"
    return _project_in(folder) or _project_above((folder, *folder.parents))


def _project_above(folders: Iterable[Path]) -> str:
    """How one of the folders above is a project, or what git keeps of one; empty where none is."""
    for folder in folders:
        if marker := _repository(folder) or _marker(folder, _MARKERS):
            return f"it lies in {folder}, a project by {marker}, and a notebook could change what runs there"
    return ""


def _project_in(folder: Path) -> str:
    """How a folder, or one directly in it, is a project or a work tree of git; empty where none is."""
    with suppress(OSError):  # of a folder that is closed to the caller, nothing is known
        for path in (folder, *sorted(path for path in folder.iterdir() if not path.is_symlink())):
            if marker := _repository(path) or _marker(path, (*_MARKERS, _GIT)):
                return (
                    f"{path} is a project by {marker}, and a notebook could change what runs there; one that notebooks "
                    "have made can be moved away"
                )
    return ""


def _repository(folder: Path) -> str:
    """What tells that a folder is what git keeps of a project, with hooks and settings in it; empty where it isn't."""
    kept = ("HEAD", "objects", "refs")
    return "what git keeps" if folder.name == _GIT or all((folder / name).exists() for name in kept) else ""


def _marker(folder: Path, names: Iterable[str]) -> str:
    """The first of some names that is there in a folder; empty for none."""
    return next((name for name in names if os.path.lexists(folder / name)), "")


def _hidden(home: Path, folder: Path) -> str:
    """The hidden folder of another one that a folder is, or lies in; empty for none."""
    above = (folder, *folder.parents)
    return next((path.name for path in above if path.name.startswith(".") and is_same(path.parent, home)), "")


def located(project: Project, settings: Settings) -> Path:
    """The folder itself, whatever links lead there."""
    return (project.root / settings.storage.work_dir).resolve()


def shared(project: Project, settings: Settings) -> list[Path]:
    """The folders in which a lab may have made links: the stack's own, and those of all stacks of this machine."""
    return [located(project, settings), *(known.folder for known in work_folders.known())]


def _contains(folder: Path, path: Path) -> bool:
    """Whether a folder is a path without links, or above it, by whatever name: a link, other letters, another mount."""
    return any(is_same(folder, above) for above in (path, *path.parents))


def _homes() -> dict[Path, str]:
    """The homes of this machine, and in words whose: the caller's, by the shell and by the account, and all others'."""
    found: dict[Path, str] = {}
    with suppress(RuntimeError):
        found[Path.home().resolve()] = "your"
    with suppress(KeyError):  # one of a directory service may be in no list
        found[Path(pwd.getpwuid(os.geteuid()).pw_dir).resolve()] = "your"
    for account in pwd.getpwall():
        found.setdefault(Path(account.pw_dir or "/").resolve(), f"{account.pw_name}'s")
    return found


def _was_project(project: Project, settings: Settings, docker: Docker) -> bool:
    """Whether the lab's container, or else the last `up`, had the project's folder as ~/work."""
    containers = docker.containers(naming.stack(settings))
    mounts = [row["mounts"] for row in containers if row["service"] == naming.LAB]
    before = state.remembered(project, settings.stack) or {}
    sources = [mount.get(TARGET) for mount in mounts] or [before.get("storage", {}).get("work_dir")]
    return any(is_same(project.root / source, project.root) for source in sources if source)


def _choice(project: Project, settings: Settings, *, refused: bool) -> str:
    """The two commands: notebooks in a folder of their own, or a dangerous folder, deliberately."""
    own = "work" if refused else shlex.quote(settings.storage.work_dir)
    apart = f"mkdir -p {own}"
    if not refused or is_same(located(project, settings), project.root):
        apart += f" && mv -n -- {shlex.join(_notebooks(project.root)) or 'NOTEBOOKS'} {own}/"
    setting = "inv config.set --set=storage"
    if refused:
        apart += f" && {setting}.work_dir={own}"
        meant = f"{setting}.allow_unsafe_work_dir=true"
    else:
        meant = f"{setting}.work_dir=. --set=storage.allow_unsafe_work_dir=true"
    return f"notebooks in a folder of their own: `{apart}`\nor all as it was, deliberately: `{meant}`"


def _notebooks(root: Path) -> list[str]:
    """What has notebooks in it among what lies in the project and is no part of one."""
    parts = {*_PARTS, *_PROGRAMS, "work"}
    return sorted(
        entry.name
        for entry in root.iterdir()
        if entry.name not in parts
        and not entry.name.startswith(".")
        and (entry.suffix == ".ipynb" or any(entry.glob("*.ipynb")) or any(entry.glob("*/*.ipynb")))
    )
