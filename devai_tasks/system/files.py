"""Files in folders that other users may write to: written atomically, and never through a link."""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path

from devai_tasks.system.errors import DevaiError

# Error numbers of opening a link with O_NOFOLLOW: Linux and macOS, FreeBSD.
IS_LINK = (errno.ELOOP, errno.EMLINK)


def replace(file: Path, content: bytes, mode: int | None = None) -> None:
    """Write a file atomically. A link with the same name is replaced, not followed.

    Args:
        file: the file.
        content: its content.
        mode: permissions, independent of the umask (default: 0666 without the umask).
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


def is_same(left: Path, right: Path) -> bool:
    """Whether two paths are the same file or folder; if one is missing or unreadable, whether the paths are equal."""
    try:
        return left.samefile(right)
    except OSError:
        return left == right


def open_own(file: Path, flags: int) -> int:
    """Open or create a file that is written in place and readable by its owner only; return its descriptor.

    Raises DevaiError if the path is a link.
    """
    return open_there(file, flags | os.O_CREAT)


def open_there(file: Path, flags: int = os.O_RDONLY) -> int:
    """Open an existing file. Raises DevaiError if the path is a link."""
    try:
        return os.open(file, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno in IS_LINK:
            raise link_in_the_way(file) from error
        raise


def link_in_the_way(path: Path) -> DevaiError:
    """Return the error to raise for a link in place of a file or folder that the tasks write."""
    message = f"{path} is a link to {path.readlink()}; nothing is written through it"
    return DevaiError(message, hint=f"`rm {path}`, and retry")
