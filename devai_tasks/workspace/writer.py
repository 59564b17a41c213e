"""The one writer of artifacts.

The files of a target live in a folder of their own that is never changed, and `generated/<stack>/<target>` is a link to
the newest: replacing a link is one step, so whoever reads sees the old set or the new one, also after a crash.
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
"""Generated files: `{path below the stack's folder: text}`; the first part of each path is the target."""


def write(artifacts: Artifacts, folder: Path, *, whole: bool = False) -> Path:
    """Make `folder` (that of a stack) hold exactly these files for each of their targets; returns it.

    What has not changed is not touched; what is no longer rendered is gone, with `whole` other targets too.
    """
    with alone(folder):
        return put(artifacts, folder, whole=whole)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Wait until no other run writes to the folder, and have it alone; that ends with the process at the latest.

    Raises DevaiError where a link leads elsewhere, for what is not rendered is removed there.
    """
    if folder.is_symlink():
        raise link_in_the_way(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with os.fdopen(open_own(folder / ".lock", os.O_WRONLY), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def put(artifacts: Artifacts, folder: Path, *, whole: bool = False) -> Path:
    """What `write` does, for who has the folder alone already."""
    rendered = targets(artifacts)
    for target, files in rendered.items():
        if present(folder / target) != files:
            _replace(folder, target, files)
    if whole:
        for target in _targets_in(folder) - rendered.keys():
            _remove(folder, target)
    return folder


def changes(artifacts: Artifacts, folder: Path) -> dict[str, tuple[str | None, str | None]]:
    """What writing the whole of a stack would change: `{path: (old text, new text)}`, None where there is no file."""
    before = {
        f"{target}/{path}": text for target in _targets_in(folder) for path, text in present(folder / target).items()
    }
    paths = sorted(before.keys() | artifacts.keys())
    return {path: (before.get(path), artifacts.get(path)) for path in paths if before.get(path) != artifacts.get(path)}


def targets(artifacts: Artifacts) -> dict[str, dict[str, str]]:
    """The files of each target, by their path below its folder."""
    groups: dict[str, dict[str, str]] = {}
    for path, text in sorted(artifacts.items()):
        target, _, file = path.partition("/")
        groups.setdefault(target, {})[file] = text
    return groups


def present(target: Path) -> dict[str, str]:
    """The files that a target has now."""
    files = (file for file in target.rglob("*") if file.is_file())
    return {file.relative_to(target).as_posix(): _text(file) for file in files}


def _replace(folder: Path, target: str, files: dict[str, str]) -> None:
    for orphan in folder.glob(f".{target}-*"):  # of a run that was cut off
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
            os.link(old, file)  # keeps its time stamp
        else:
            file.write_text(text, encoding="utf-8")
    previous = _current(folder / target)
    link = fresh.with_name(f"{fresh.name}.link")
    link.symlink_to(fresh.name)
    if previous is None and (folder / target).is_dir():
        shutil.rmtree(folder / target)  # a copy of the project that made folders of links
    link.replace(folder / target)
    if previous:
        shutil.rmtree(folder / previous, ignore_errors=True)


def replace_file(file: Path, text: str) -> None:
    """Write one file that people keep, such as one of conf/: the old text or the new one.

    Where a link leads to it, which mode it has and how its lines end stays as it was.
    """
    file = file.resolve()
    there = file.exists()
    if there and b"\r\n" in file.read_bytes():
        text = text.replace("\n", "\r\n")
    replace(file, text.encode(), stat.S_IMODE(file.stat().st_mode) if there else None)


def _targets_in(folder: Path) -> set[str]:
    """The targets that a folder has now."""
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
    """What a file holds, to compare: exactly, whatever a person has put there."""
    return file.read_bytes().decode(errors="surrogateescape")


def _current(target: Path) -> str | None:
    return target.readlink().name if target.is_symlink() else None
