"""Files that are written where others may write, too: whole or not at all, and never through a link in the way."""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path

from devai_tasks.system.errors import DevaiError

# What opening a link without following it ends with: on Linux and macOS, and on FreeBSD.
IS_LINK = (errno.ELOOP, errno.EMLINK)


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


def is_same(one: Path, other: Path) -> bool:
    """Whether two paths are one file or folder; of what doesn't exist, or is closed, whether they are equal."""
    try:
        return one.samefile(other)
    except OSError:
        return one == other


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
        if error.errno in IS_LINK:
            raise link_in_the_way(file) from error
        raise


def link_in_the_way(path: Path) -> DevaiError:
    """What is raised for a link where a file or folder of the tasks' own is written."""
    message = f"{path} is a link to {path.readlink()}; nothing is written through it"
    return DevaiError(message, hint=f"`rm {path}`, and retry")
