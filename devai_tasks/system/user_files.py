"""Files that the user names for reading or writing.

Such files may be in a work folder, which notebooks can write to. In work folders no link is followed, and each file is
opened only once, so that the file that was checked is the file that is used, even if its name changes in between.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BufferedRandom, BufferedReader
from pathlib import Path

from devai_tasks.system.errors import DevaiError, UsageError
from devai_tasks.system.files import IS_LINK, is_same

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def new(file: Path, shared: Sequence[Path], mode: int = 0o666, *, replacing: bool = False) -> Iterator[BufferedRandom]:
    """Yield a stream to a new file, which gets its name when the block succeeds, and is deleted otherwise.

    The content is synced to disk before the file gets its name.

    Args:
        file: path of the file.
        shared: folders that notebooks may write to.
        mode: permissions, reduced by the umask.
        replacing: whether an existing file is replaced (default: refused).

    Raises:
        UsageError: the file exists or was created in the meantime, the folder is missing, or the path has a link.
        DevaiError: another program replaced the file while it was written.
    """
    with _folder(file, shared) as folder:
        _check_name(folder, file, replacing=replacing)
        partial = f".{file.name}.{secrets.token_hex(8)}"
        descriptor = os.open(partial, _NEW, mode, dir_fd=folder)
        try:
            with os.fdopen(descriptor, "w+b") as stream:
                yield stream
                stream.flush()
                os.fsync(descriptor)
                _name(folder, partial, file, replacing=replacing)
                if not os.path.samestat(os.fstat(descriptor), os.lstat(file.name, dir_fd=folder)):
                    os.unlink(file.name, dir_fd=folder)
                    raise DevaiError(
                        f"another program changed {file} while it was written, so it was deleted", hint="try again"
                    )
        finally:
            with suppress(FileNotFoundError):
                os.unlink(partial, dir_fd=folder)


def check_free(file: Path, shared: Sequence[Path]) -> None:
    """Raise UsageError if a file exists or its folder is missing."""
    with _folder(file, shared) as folder:
        _check_name(folder, file, replacing=False)


def opened(file: Path, shared: Sequence[Path]) -> BufferedReader:
    """Open a file for reading.

    Raises UsageError if the file is missing or a link. In a folder that others may write to, they could have created
    the link to a file that they may not read.
    """
    with _folder(file, shared) as folder:
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            # The caller closes it.
            stream = open(file, "rb", opener=lambda *_: os.open(file.name, flags, dir_fd=folder))  # noqa: SIM115
        except FileNotFoundError:
            raise UsageError(f"no such file: {file}") from None
        except IsADirectoryError:
            raise UsageError(f"{file} is a folder") from None
        except OSError as error:
            if error.errno in IS_LINK:
                target = os.readlink(file.name, dir_fd=folder)
                raise UsageError(f"{file} is a link", hint=f"use the target of the link: {target}") from error
            raise
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise UsageError(f"{file} is not a regular file")
    return stream


@contextmanager
def _folder(file: Path, shared: Sequence[Path]) -> Iterator[int]:
    """Open the folder of a file. Below a shared folder, no link is followed."""
    folder = Path(os.path.normpath(file.absolute())).parent
    above = (*reversed(folder.parents), folder)
    start = next((path for path in above if any(is_same(path, item) for item in shared)), folder)
    path, flags = start, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    try:
        descriptor = os.open(start, flags)
        for part in folder.relative_to(start).parts:
            path /= part
            outer = descriptor
            try:
                descriptor = os.open(part, flags | os.O_NOFOLLOW, dir_fd=outer)
            finally:
                os.close(outer)
    except OSError as error:
        if path.is_symlink() and path != start:
            raise UsageError(
                f"{path} is a link, and notebooks can create links in {start}",
                hint=f"use the target of the link: {path.readlink()}",
            ) from error
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise UsageError(f"no such folder: {file.parent}", hint="create it, or name another file") from error
        raise
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _check_name(folder: int, file: Path, *, replacing: bool) -> None:
    try:
        mode = os.lstat(file.name, dir_fd=folder).st_mode
    except FileNotFoundError:
        return
    if not replacing:
        raise UsageError(f"{file} exists", hint="name another file, or remove it first")
    if not stat.S_ISREG(mode):
        raise UsageError(f"{file} is not a regular file; links are not followed", hint="name another file")


def _name(folder: int, partial: str, file: Path, *, replacing: bool) -> None:
    """Give a file its name. Unless `replacing`, never replace an existing file, even one that was just created."""
    folders = {"src_dir_fd": folder, "dst_dir_fd": folder}
    if replacing:
        return os.rename(partial, file.name, **folders)  # noqa: PTH104 - pathlib has no dir_fd
    try:
        try:
            os.link(partial, file.name, **folders, follow_symlinks=False)
        except OSError as error:
            if error.errno not in {errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS}:
                raise
            # A file system without hard links, as on many USB drives: reserve the name first.
            os.close(os.open(file.name, _NEW, dir_fd=folder))
            os.rename(partial, file.name, **folders)  # noqa: PTH104 - as above
    except FileExistsError:
        raise UsageError(f"another program created {file} in the meantime", hint="name another file") from None
