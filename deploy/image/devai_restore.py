"""Restores an archive of a home into the home.

The archive is unpacked into a new folder on the home's volume. After the whole archive has been read and verified, its
entries are moved into the home. The renames follow no symbolic link and do not cross file systems, so folders that are
mounted into the home are not changed.

As a program, the module reads the archive from standard input and prints a JSON object: the report, or the reason why
nothing was restored. The lab's server runs it as a separate process, so that a large archive does not block the server.
It uses the standard library only.
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
    """Return the mount points inside the home; proc(5) documents the format of mountinfo."""
    lines = os.fsdecode(mountinfo.read_bytes()).rstrip("\n").split("\n")
    points = [Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), line.split(" ")[4])) for line in lines]
    return {point.relative_to(home).parts for point in points if home in point.parents}


def restore(home: Path, stream: IO[bytes], mounted: set[Names]) -> Report:
    """Restore an archive into the home: files of the same name are replaced, all other files are kept.

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
    """Remove the files of an interrupted restore, unless another restore is running."""
    with suppress(BusyError), _locked(home):
        _remove_staging(home)


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    """Hold the lock of the home. The kernel releases it when the process exits for any reason."""
    path = home / f"{RESERVED_NAME}lock"
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError from None
        # The previous holder may have removed the file meanwhile, and another process may have created a new one.
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
    """Move all entries of a folder into a folder of the home. A rename never crosses file systems."""
    for name in sorted(os.listdir(staged)):
        try:
            _move(name, staged, target, path, report)
        except OSError as error:
            for size in _sizes(name, staged):
                report.files -= 1
                report.bytes -= size
            report.skip(str(error.strerror), (*path, name))


def _move(name: str, staged: int, target: int, path: Names, report: Report) -> None:
    existing = lstat(name, target)
    if not is_folder(lstat(name, staged)):
        if is_folder(existing):
            os.rmdir(name, dir_fd=target)  # raises OSError unless the folder is empty
        return os.rename(name, name, src_dir_fd=staged, dst_dir_fd=target)
    if existing is not None and not is_folder(existing):
        os.unlink(name, dir_fd=target)
        existing = None
    if existing is None:
        # Not every file system can rename a folder that has entries.
        with suppress(OSError):
            return os.rename(name, name, src_dir_fd=staged, dst_dir_fd=target)
        os.mkdir(name, dir_fd=target)
    with folder_of(name, staged) as source, folder_of(name, target) as destination, _writable(destination):
        _move_entries(source, destination, (*path, name), report)
    return None


@contextmanager
def _writable(folder: int) -> Iterator[None]:
    """Make a read-only folder writable for a time, such as those of Go's module cache."""
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
    """Yield the size of a file, or of each file in a folder, as the report counted it; links count as 0."""
    entry = lstat(name, folder)
    if entry is None:
        return
    if not is_folder(entry):
        yield entry.st_size if stat.S_ISREG(entry.st_mode) and entry.st_nlink == 1 else 0
        return
    with folder_of(name, folder) as inside:
        for child in os.listdir(inside):  # noqa: PTH208 - the argument is a descriptor
            yield from _sizes(child, inside)


def main() -> None:
    """Restore the archive on standard input into the home given as the argument."""
    home = Path(sys.argv[1])
    try:
        answer = restore(home, sys.stdin.buffer, mounts(home)).as_json()
    except RestoreError as error:
        answer = {"status": error.status, "message": str(error)}
    except OSError as error:
        answer = {"status": 500, "message": f"{error}; fix this, then run the restore again"}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
