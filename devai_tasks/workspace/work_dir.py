"""Work folder: the folder of this machine that the lab mounts as ~/work. Checks whether it is safe, and creates it.

Anyone who writes a notebook, including a language model, can change every file in the work folder.
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

# Mount point in the lab.
TARGET = "/home/devai/work"
# Folders of a project whose files are run or managed by the tasks, tests or an editor. Hidden folders count, too.
_PROGRAMS = ("devai_tasks", "docs", "generated", "scripts", "tests")
# Files and folders of a new project, except for its folder for notebooks.
_PARTS = tuple({Path(part).parts[0] for part in (*scaffold.PARTS, *scaffold.LINKS)} - {"work"})
# Files that identify a folder as a project of this package, or as a Git repository.
_MARKERS = ("tasks.py", "conf/common", ".devai")
_GIT = ".git"
# System folders of Linux and macOS: forbidden with everything below them, and (_SHARED) forbidden themselves only.
_SYSTEM = (
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr", "/var/backups",
    "/var/cache", "/var/lib", "/var/log", "/var/mail", "/var/run", "/var/spool", "/Applications", "/Library", "/System",
)  # fmt: skip
_SHARED = ("/home", "/opt", "/srv", "/tmp", "/var/tmp", "/Users", "/Volumes")  # noqa: S108 - compared only
# Files in the current folder that common programs run or read as configuration. inv and git look there first; a shell
# with direnv reads .envrc on `cd` alone. npm and pytest are left out: calling them there means to run what is there.
_AUTOLOADED = {
    "inv": ("tasks.py", "tasks/__init__.py"),
    "nox": ("noxfile.py",),
    "make": ("GNUmakefile", "makefile", "Makefile"),
    "git": (_GIT, "HEAD"),  # HEAD marks the folder itself as a repository
    "direnv": (".envrc",),
}
# Hint against running such a file.
SAFELY = "run commands in the project's folder, or use `devai`, which does not run these files"
_NOTICE = "work-dir"


def check(project: Project, settings: Settings, docker: Docker) -> None:
    """Raise UsageError for an unsafe folder that is not allowed, or once for a folder that hides existing notebooks.

    Notebooks are hidden if the lab mounted the project's folder before and mounts another folder now. That error is
    raised once for a stack: the next call with the same configuration passes.
    """
    if check_danger(project, settings) or docker.dry or not _was_project(project, settings, docker):
        return
    named = settings.storage.work_dir
    if state.is_first(project, settings.stack, _NOTICE):
        raise UsageError(
            f"~/work was the project's folder, and is {named}/ from now on: files outside of {named}/ are no longer "
            "visible in the lab\nnothing was changed",
            hint=f"run `inv up` again to accept the change\n{_choice(project, settings, refused=False)}",
        )


def check_danger(project: Project, settings: Settings) -> str:
    """Raise UsageError for an unsafe folder that is not allowed; return the reason if an unsafe folder is allowed."""
    reason = danger(project, settings)
    if reason and not settings.storage.allow_unsafe_work_dir:
        raise UsageError(
            f"storage.work_dir = {settings.storage.work_dir}: {reason}\nnothing was changed",
            hint=_choice(project, settings, refused=True),
        )
    return reason


def create(project: Project, settings: Settings) -> None:
    """Create a missing folder inside the project, owned by the lab's user, and record it as a work folder.

    Without this, the engine would create the folder as root.

    Raises UsageError if a folder outside of the project is missing: its disk may not be mounted.
    """
    folder = real_path(project, settings)
    if not folder.is_dir():
        _make(project, settings, folder)
    work_folders.record(work_folders.WorkFolder(folder, project.root.resolve(), str(settings.stack)))


def _make(project: Project, settings: Settings, folder: Path) -> None:
    if folder.exists() or not _contains(project.root.resolve(), folder):
        named = settings.storage.work_dir
        raise UsageError(f"storage.work_dir: no folder {named}", hint="create it, or set another folder")
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir()
        if os.geteuid() == 0:
            os.chown(path, settings.engine.uid, settings.engine.gid, follow_symlinks=False)


def is_created(project: Project, settings: Settings) -> bool:
    """Whether the folder is missing and `up` creates it."""
    folder = real_path(project, settings)
    return not folder.exists() and _contains(project.root.resolve(), folder)


def autoload_warning(project: Project, settings: Settings) -> str:
    """Return a warning about files in the folder that a program runs or reads when called there; empty for none."""
    folder = real_path(project, settings)
    files = {
        name: program for program, names in _AUTOLOADED.items() for name in names if os.path.lexists(folder / name)
    }
    if not files:
        return ""
    named, programs = ", ".join(files), " and ".join(dict.fromkeys(files.values()))
    return f"notebooks can write {named} in {folder}, which {programs} would run or read there, outside of the lab"


def warn(project: Project, settings: Settings) -> None:
    """Warn about files that a program would run or read in the folder. Not for an unsafe folder that is allowed."""
    if not danger(project, settings) and (files := autoload_warning(project, settings)):
        console.warn(f"{files}; {SAFELY}")


def danger(project: Project, settings: Settings) -> str:
    """Return why the folder is unsafe, which is what a notebook could change through it; empty for a safe folder."""
    root, folder = project.root.resolve(), real_path(project, settings)
    if programs := _programs(root, folder):
        return f"this is {programs}, and a notebook could change what the next task runs outside of the lab"
    if other := _nested(project, settings, folder):
        return f"{other}, whose notebooks could replace it with a link"
    if _contains(root, folder):
        # Files in the folder itself may come from notebooks: `warn` reports them.
        return _project_above(path for path in folder.parents if path != root and _contains(root, path))
    return _elsewhere(folder)


def _nested(project: Project, settings: Settings, folder: Path) -> str:
    """Return how the folder overlaps with the work folder of another stack; empty if it does not."""
    root = project.root.resolve()
    named = Path(os.path.normpath(root / settings.storage.work_dir))
    for known in work_folders.known():
        other, of_project = known.folder, is_same(known.root, root)
        if (of_project and known.stack == str(settings.stack)) or is_same(folder, other) or is_same(other, root):
            continue
        whose = known.stack if of_project else f"{known.stack} of {known.root}"
        if _contains(other, folder) or _contains(other, named):
            return f"it is inside the work folder of {whose}"
        if _contains(folder, other):
            return f"it contains the work folder of {whose}"
    return ""


def _programs(root: Path, folder: Path) -> str:
    """Return which files that the tasks run a folder contains or is inside of; empty for none."""
    if _contains(folder, root):
        return "the project itself" if _contains(root, folder) else "a folder that contains the project"
    if inside := [name for name in (*_PROGRAMS, *_PARTS) if _contains(root / name, folder)]:
        return f"in {inside[0]}/ of the project"
    if hidden := _hidden(root, folder):
        return f"in {hidden}/ of the project"
    for installed in (Path(devai_tasks.__file__).parent.resolve(), Path(sys.prefix).resolve()):
        if _contains(installed, folder) or _contains(folder, installed):
            return "the folder where the tasks are installed"
    return ""


def _elsewhere(folder: Path) -> str:
    """Return why a folder outside of the project is unsafe; empty for a safe folder."""
    system = (_contains(path, folder) or _contains(folder, path.resolve()) for path in map(Path, _SYSTEM))
    if any(system) or any(_contains(folder, path.resolve()) for path in map(Path, _SHARED)):
        return "this is a system folder, and a notebook could change what runs outside of the lab"
    for home, whose in _homes().items():
        if _contains(folder, home):
            return f"it contains {whose} home, with keys and login scripts"
        if _hidden(home, folder):
            return f"programs keep their settings and keys there, in {whose} home"
    return _project_in(folder) or _project_above((folder, *folder.parents))


def _project_above(folders: Iterable[Path]) -> str:
    """Return which of the parent folders is a project or a Git folder; empty for none."""
    for folder in folders:
        if marker := _repository(folder) or _marker(folder, _MARKERS):
            return f"it is inside {folder}, a project by {marker}, and a notebook could change what runs there"
    return ""


def _project_in(folder: Path) -> str:
    """Return which of a folder and its subfolders is a project or a Git work tree; empty for none."""
    with suppress(OSError):  # an unreadable folder can't be checked
        for path in (folder, *sorted(path for path in folder.iterdir() if not path.is_symlink())):
            if marker := _repository(path) or _marker(path, (*_MARKERS, _GIT)):
                return (
                    f"{path} is a project by {marker}, and a notebook could change what runs there; if a notebook "
                    "created it, move it elsewhere"
                )
    return ""


def _repository(folder: Path) -> str:
    """Return a description if a folder is a Git directory, which contains hooks and settings; else empty."""
    kept = ("HEAD", "objects", "refs")
    return "its Git directory" if folder.name == _GIT or all((folder / name).exists() for name in kept) else ""


def _marker(folder: Path, names: Iterable[str]) -> str:
    """Return the first of some names that exists in a folder; empty for none."""
    return next((name for name in names if os.path.lexists(folder / name)), "")


def _hidden(home: Path, folder: Path) -> str:
    """Return the name of the hidden folder directly in `home` that is or contains the folder; empty for none."""
    above = (folder, *folder.parents)
    return next((path.name for path in above if path.name.startswith(".") and is_same(path.parent, home)), "")


def real_path(project: Project, settings: Settings) -> Path:
    """Return the real path of the work folder, without links."""
    return (project.root / settings.storage.work_dir).resolve()


def shared(project: Project, settings: Settings) -> list[Path]:
    """Return the work folders of this stack and of all stacks of this machine, in which labs may have created links."""
    return [real_path(project, settings), *(known.folder for known in work_folders.known())]


def _contains(folder: Path, path: Path) -> bool:
    """Whether a folder is a path or one of its parents.

    Folders are compared as files, because links, letter case and mounts can give one folder several names. The path
    must be without links.
    """
    return any(is_same(folder, above) for above in (path, *path.parents))


def _homes() -> dict[Path, str]:
    """Return the home folders of this machine and their owners for messages: `your` for the user's own."""
    homes: dict[Path, str] = {}
    with suppress(RuntimeError):
        homes[Path.home().resolve()] = "your"
    with suppress(KeyError):  # users of a directory service may not be listed
        homes[Path(pwd.getpwuid(os.geteuid()).pw_dir).resolve()] = "your"
    for account in pwd.getpwall():
        homes.setdefault(Path(account.pw_dir or "/").resolve(), f"{account.pw_name}'s")
    return homes


def _was_project(project: Project, settings: Settings, docker: Docker) -> bool:
    """Whether the lab's container, or without one the last `up`, mounted the project's folder as ~/work."""
    containers = docker.containers(naming.stack(settings))
    mounts = [row["mounts"] for row in containers if row["service"] == naming.LAB]
    before = state.remembered(project, settings.stack) or {}
    sources = [mount.get(TARGET) for mount in mounts] or [before.get("storage", {}).get("work_dir")]
    return any(is_same(project.root / source, project.root) for source in sources if source)


def _choice(project: Project, settings: Settings, *, refused: bool) -> str:
    """Return the two commands for a hint: move notebooks to a separate folder, or allow an unsafe folder."""
    folder = "work" if refused else shlex.quote(settings.storage.work_dir)
    separate = f"mkdir -p {folder}"
    if not refused or is_same(real_path(project, settings), project.root):
        separate += f" && mv -n -- {shlex.join(_notebooks(project.root)) or 'NOTEBOOKS'} {folder}/"
    setting = "inv config.set --set=storage"
    if refused:
        separate += f" && {setting}.work_dir={folder}"
        unsafe = f"{setting}.allow_unsafe_work_dir=true"
    else:
        unsafe = f"{setting}.work_dir=. --set=storage.allow_unsafe_work_dir=true"
    return f"to move notebooks to a separate folder: `{separate}`\nto keep using the unsafe folder: `{unsafe}`"


def _notebooks(root: Path) -> list[str]:
    """Return the names of notebooks and folders with notebooks in the project's root, except for its own parts."""
    parts = {*_PARTS, *_PROGRAMS, "work"}
    return sorted(
        entry.name
        for entry in root.iterdir()
        if entry.name not in parts
        and not entry.name.startswith(".")
        and (entry.suffix == ".ipynb" or any(entry.glob("*.ipynb")) or any(entry.glob("*/*.ipynb")))
    )
