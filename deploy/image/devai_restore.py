"""Restores an archive of a home into the home.

The archive is unpacked into a fresh folder on the home's own volume. When its end has been read and is right, the
entries move into the home, by renames that follow no symbolic link and leave no file system: what is mounted into the
home stays as it is.

As a program it reads the archive from standard input and prints a JSON object: what was restored, or why nothing was.
The lab's server starts it so, and a large archive does not hold the server up. It uses the standard library only.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from devai_archive import (
    RESERVED_NAME,
    Names,
    NoSpaceError,
    Report,
    RestoreError,
    Space,
    Unpacking,
    folder_of,
    is_folder,
    lstat,
)


class BusyError(RestoreError):
    """Another restore is running."""

    status = 409

    def __init__(self) -> None:
        super().__init__("another restore is running in this home")


def mounts(home: Path, mountinfo: Path = Path("/proc/self/mountinfo")) -> set[Names]:
    """Return what is mounted inside the home; proc(5) describes the file."""
    lines = os.fsdecode(mountinfo.read_bytes()).rstrip("\n").split("\n")
    points = [Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), line.split(" ")[4])) for line in lines]
    return {point.relative_to(home).parts for point in points if home in point.parents}


def restore(home: Path, stream: IO[bytes], mounted: set[Names]) -> Report:
    """Put the entries of an archive into the home: those of the same name are replaced, others stay.

    Raises:
        RestoreError: nothing was restored.
    """
    with _locked(home):
        _remove_staging(home)
        staging = Path(tempfile.mkdtemp(prefix=RESERVED_NAME, dir=home))
        try:
            with folder_of(staging) as folder, folder_of(home) as target:
                report = Unpacking(folder, home, mounted, Space.of(home)).run(stream)
                _move_entries(folder, target, (), report)
                return report
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise NoSpaceError("the home has no space left") from error
            raise
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def clean(home: Path) -> None:
    """Remove what an interrupted restore has left; another one that is running keeps its own."""
    with suppress(BusyError), _locked(home):
        _remove_staging(home)


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    """Hold the lock of the home. The system releases it when its holder ends, however that happens."""
    path = home / f"{RESERVED_NAME}lock"
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError from None
        # Its last holder may have removed it meanwhile, and another one made it again.
        if not (path.exists() and os.path.samestat(os.fstat(lock), path.stat())):
            raise BusyError
        try:
            yield
        finally:
            path.unlink()
    finally:
        os.close(lock)


def _remove_staging(home: Path) -> None:
    for folder in home.glob(f"{RESERVED_NAME}*"):
        if folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(folder)


def _move_entries(staged: int, target: int, path: Names, report: Report) -> None:
    """Move all entries of a folder into one of the home. A rename never leaves its file system."""
    for name in sorted(os.listdir(staged)):
        try:
            _move(name, staged, target, path, report)
        except OSError as error:
            for size in _sizes(name, staged):
                report.files -= 1
                report.bytes -= size
            report.skip(str(error.strerror), (*path, name))


def _move(name: str, staged: int, target: int, path: Names, report: Report) -> None:
    there = lstat(name, target)
    if not is_folder(lstat(name, staged)):
        if is_folder(there):
            os.rmdir(name, dir_fd=target)  # unless it has entries
        return os.rename(name, name, src_dir_fd=staged, dst_dir_fd=target)
    if there is not None and not is_folder(there):
        os.unlink(name, dir_fd=target)
        there = None
    if there is None:
        # Not every volume can rename a folder that has entries.
        with suppress(OSError):
            return os.rename(name, name, src_dir_fd=staged, dst_dir_fd=target)
        os.mkdir(name, dir_fd=target)
    with folder_of(name, staged) as source, folder_of(name, target) as destination, _writable(destination):
        _move_entries(source, destination, (*path, name), report)
    return None


@contextmanager
def _writable(folder: int) -> Iterator[None]:
    """Write into a folder that its owner has protected against that, as Go does with its modules."""
    mode = stat.S_IMODE(os.fstat(folder).st_mode)
    if mode & stat.S_IRWXU == stat.S_IRWXU:
        yield
        return
    os.fchmod(folder, mode | stat.S_IRWXU)
    try:
        yield
    finally:
        os.fchmod(folder, mode)


def _sizes(name: str, folder: int) -> Iterator[int]:
    """The sizes of a file, or of all files in a folder, as they were counted; links have none."""
    entry = lstat(name, folder)
    if entry is None:
        return
    if not is_folder(entry):
        yield entry.st_size if stat.S_ISREG(entry.st_mode) and entry.st_nlink == 1 else 0
        return
    with folder_of(name, folder) as inside:
        for child in os.listdir(inside):  # noqa: PTH208 - a descriptor
            yield from _sizes(child, inside)


def main() -> None:
    """Restore what comes in by standard input into the home that the argument names."""
    home = Path(sys.argv[1])
    try:
        answer = restore(home, sys.stdin.buffer, mounts(home)).as_json()
    except RestoreError as error:
        answer = {"status": error.status, "message": str(error)}
    except OSError as error:
        answer = {"status": 500, "message": f"{error}; run the restore again when that is fixed"}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
