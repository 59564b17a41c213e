"""Writer of all artifacts.

The files of a target are written to a new folder that never changes afterwards, and `generated/<stack>/<target>` is a
link to the newest folder. Replacing a link is atomic, so readers see either the old or the new set of files, even after
a crash.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devai_tasks.system.files import link_in_the_way, open_own, replace

Artifacts = dict[str, str]
"""Generated files by path below the stack's folder; the first part of each path is the target."""


def write(artifacts: Artifacts, folder: Path, *, whole: bool = False) -> Path:
    """Make a stack's folder contain exactly these files for each of their targets; return the folder.

    Unchanged files are not touched, and files that are no longer rendered are removed.

    Args:
        artifacts: the files.
        folder: the stack's folder.
        whole: whether targets without any of these files are removed, too.
    """
    with alone(folder):
        return put(artifacts, folder, whole=whole)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Wait for exclusive access to the folder, and hold it for the block. The lock ends with the process at the latest.

    Raises DevaiError if the folder is a link, because files that are not rendered would be removed in its target.
    """
    if folder.is_symlink():
        raise link_in_the_way(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with os.fdopen(open_own(folder / ".lock", os.O_WRONLY), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def put(artifacts: Artifacts, folder: Path, *, whole: bool = False) -> Path:
    """Write artifacts as `write` does; the caller must hold `alone` for the folder."""
    rendered = targets(artifacts)
    for target, files in rendered.items():
        if present(folder / target) != files:
            _replace(folder, target, files)
    if whole:
        for target in _targets_in(folder) - rendered.keys():
            _remove(folder, target)
    return folder


def changes(artifacts: Artifacts, folder: Path) -> dict[str, tuple[str | None, str | None]]:
    """Return what `write(…, whole=True)` would change: old and new text by path, with None for a missing file."""
    before = {
        f"{target}/{path}": text for target in _targets_in(folder) for path, text in present(folder / target).items()
    }
    paths = sorted(before.keys() | artifacts.keys())
    return {path: (before.get(path), artifacts.get(path)) for path in paths if before.get(path) != artifacts.get(path)}


def targets(artifacts: Artifacts) -> dict[str, dict[str, str]]:
    """Return the files of each target, by their path below the target's folder."""
    groups: dict[str, dict[str, str]] = {}
    for path, text in sorted(artifacts.items()):
        target, _, file = path.partition("/")
        groups.setdefault(target, {})[file] = text
    return groups


def present(target: Path) -> dict[str, str]:
    """Return the existing files of a target, by their path below its folder."""
    files = (file for file in target.rglob("*") if file.is_file())
    return {file.relative_to(target).as_posix(): _text(file) for file in files}


def _replace(folder: Path, target: str, files: dict[str, str]) -> None:
    for orphan in folder.glob(f".{target}-*"):  # from an interrupted run
        if orphan.is_symlink():
            orphan.unlink()
        elif orphan.name != _current(folder / target):
            shutil.rmtree(orphan)
    fresh = Path(tempfile.mkdtemp(prefix=f".{target}-", dir=folder))
    fresh.chmod(0o755)
    for path, text in files.items():
        file, old = fresh / path, folder / target / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if old.is_file() and _text(old) == text:
            os.link(old, file)  # keeps the modification time
        else:
            file.write_text(text, encoding="utf-8")
    previous = _current(folder / target)
    link = fresh.with_name(f"{fresh.name}.link")
    link.symlink_to(fresh.name)
    if previous is None and (folder / target).is_dir():
        shutil.rmtree(folder / target)  # from a copy of the project that replaced links by folders
    link.replace(folder / target)
    if previous:
        shutil.rmtree(folder / previous, ignore_errors=True)


def replace_file(file: Path, text: str) -> None:
    """Replace a file that the user maintains, such as one of conf/, atomically.

    A link to the file, the file's mode and its line endings are kept.
    """
    file = file.resolve()
    exists = file.exists()
    if exists and b"\r\n" in file.read_bytes():
        text = text.replace("\n", "\r\n")
    replace(file, text.encode(), stat.S_IMODE(file.stat().st_mode) if exists else None)


def _targets_in(folder: Path) -> set[str]:
    """Return the names of the targets in a folder."""
    return (
        {link.name for link in folder.iterdir() if link.is_dir() and not link.name.startswith(".")}
        if folder.is_dir()
        else set()
    )


def _remove(folder: Path, target: str) -> None:
    previous = _current(folder / target)
    if previous is None:
        shutil.rmtree(folder / target)
    else:
        (folder / target).unlink()
        shutil.rmtree(folder / previous, ignore_errors=True)


def _text(file: Path) -> str:
    """Return a file's exact content for comparison, even if the user has written bytes that are not UTF-8."""
    return file.read_bytes().decode(errors="surrogateescape")


def _current(target: Path) -> str | None:
    return target.readlink().name if target.is_symlink() else None
