"""Files that are written where others may write, too: whole or not at all, and never through a link in the way."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedRandom, BufferedReader
from pathlib import Path

from devai_tasks.errors import DevaiError, UsageError

# What opening a link without following it ends with: on Linux and macOS, and on FreeBSD.
_LINK = (errno.ELOOP, errno.EMLINK)


def replace(file: Path, content: bytes, mode: int | None = None) -> None:
    """Write a file: readers see the old content or the new one. A link of its name is replaced, not followed.

    `mode` are its permissions, whatever the umask is; without it, those that the umask leaves.
    """
    partial = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    descriptor = os.open(partial, flags, 0o666 if mode is None else mode & 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            if mode is not None:
                os.fchmod(descriptor, mode)
        partial.replace(file)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def new(file: Path, mode: int = 0o666) -> Iterator[BufferedRandom]:
    """Yield a stream to a new file that gets its name when the block ends well, and is gone otherwise.

    It is on the disk before it has the name, and nothing is written or read again by a path, so that a program that may
    write to the same folder, such as a notebook, can neither lead this elsewhere nor change what was verified.

    Args:
        file: its name; nothing of that name may exist.
        mode: its permissions, of which the umask takes away.

    Raises:
        UsageError: the name is taken, or was taken in the meantime, or there is no such folder.
        DevaiError: another program put something else in its place.
    """
    check_free(file)
    partial = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "w+b") as stream:
            yield stream
            stream.flush()
            os.fsync(descriptor)
            _name(partial, file)
            if not os.path.samestat(os.fstat(descriptor), file.lstat()):
                file.unlink()
                raise DevaiError(f"another program changed {file} while it was written, so it was not kept; try again")
    finally:
        partial.unlink(missing_ok=True)


def check_free(file: Path) -> None:
    """Raise UsageError for a file that exists, or that no folder could take."""
    if os.path.lexists(file):
        raise UsageError(f"{file} exists; name another file, or remove it first")
    if not file.absolute().parent.is_dir():
        raise UsageError(f"there is no folder {file.parent}; make it, or name another file")


def _name(partial: Path, file: Path) -> None:
    """Name a file without replacing another, even one that came a moment ago."""
    try:
        try:
            os.link(partial, file, follow_symlinks=False)
        except OSError as error:
            if error.errno not in {errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS}:
                raise
            # A volume without hard links, as on many sticks: the name is reserved first.
            file.open("xb").close()
            partial.replace(file)
    except FileExistsError:
        raise UsageError(f"{file} was made by another program in the meantime; name another file") from None


def open_given(file: Path) -> BufferedReader:
    """Open a file that the caller named, to read it.

    Raises UsageError where it doesn't exist or is a link: in a folder that others may write to, the link could be
    theirs, and lead to what they may not read.
    """
    try:
        stream = os.fdopen(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    except FileNotFoundError:
        raise UsageError(f"there is no file {file}") from None
    except OSError as error:
        if error.errno in _LINK:
            raise UsageError(f"{file} is a link; name the file that it leads to: {file.readlink()}") from error
        raise
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise UsageError(f"{file} is no file")
    return stream


def open_own(file: Path, flags: int) -> int:
    """Open or create a file that is written in place, for its owner only; returns its descriptor.

    Raises DevaiError where a link has its name.
    """
    return open_there(file, flags | os.O_CREAT)


def open_there(file: Path, flags: int = os.O_RDONLY) -> int:
    """Open a file that is there already. Raises DevaiError where a link has its name."""
    try:
        return os.open(file, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno in _LINK:
            raise link_in_the_way(file) from error
        raise


def link_in_the_way(path: Path) -> DevaiError:
    """What is raised for a link where a file or folder of the tasks' own is written."""
    return DevaiError(f"{path} is a link to {path.readlink()}; nothing is written through it. `rm {path}`, and retry")
