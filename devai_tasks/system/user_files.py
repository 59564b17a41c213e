"""Files that the caller names, to be written or read.

They may be in a work folder, where notebooks write, too. There, no link is followed, and a file is opened once: what
was checked is what is used, whatever has its name by then.
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
    """Yield a stream to a new file that gets its name when the block ends well, and is gone otherwise.

    It is on the disk before it has the name.

    Args:
        file: its name.
        shared: the folders that notebooks may write to.
        mode: its permissions, of which the umask takes away.
        replacing: whether another file of that name is replaced, as against refused.

    Raises:
        UsageError: the name is taken, or was taken in the meantime, or there is no such folder, or a link leads there.
        DevaiError: another program put something else in its place.
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
                        f"another program changed {file} while it was written, so it was not kept", hint="try again"
                    )
        finally:
            with suppress(FileNotFoundError):
                os.unlink(partial, dir_fd=folder)


def check_free(file: Path, shared: Sequence[Path]) -> None:
    """Raise UsageError for a file that exists, or that no folder could take."""
    with _folder(file, shared) as folder:
        _check_name(folder, file, replacing=False)


def opened(file: Path, shared: Sequence[Path]) -> BufferedReader:
    """Open a file, to read it.

    Raises UsageError where it doesn't exist or is a link: in a folder that others may write to, the link could be
    theirs, and lead to what they may not read.
    """
    with _folder(file, shared) as folder:
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            # The caller closes it.
            stream = open(file, "rb", opener=lambda *_: os.open(file.name, flags, dir_fd=folder))  # noqa: SIM115
        except FileNotFoundError:
            raise UsageError(f"there is no file {file}") from None
        except IsADirectoryError:
            raise UsageError(f"{file} is a folder") from None
        except OSError as error:
            if error.errno in IS_LINK:
                target = os.readlink(file.name, dir_fd=folder)
                raise UsageError(f"{file} is a link", hint=f"name the file that it leads to: {target}") from error
            raise
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise UsageError(f"{file} is no file")
    return stream


@contextmanager
def _folder(file: Path, shared: Sequence[Path]) -> Iterator[int]:
    """Open the folder of a file, from a shared one on through no link."""
    folder = Path(os.path.normpath(file.absolute())).parent
    above = (*reversed(folder.parents), folder)
    start = next((path for path in above if any(is_same(path, one) for one in shared)), folder)
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
                f"{path} is a link, and notebooks can make links in {start}",
                hint=f"name the folder that it leads to: {path.readlink()}",
            ) from error
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise UsageError(f"there is no folder {file.parent}", hint="make it, or name another file") from error
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
        raise UsageError(f"{file} is no file, and nothing is written through a link", hint="name another file")


def _name(folder: int, partial: str, file: Path, *, replacing: bool) -> None:
    """Name a file; unless it is `replacing` one, without replacing even one that came a moment ago."""
    within = {"src_dir_fd": folder, "dst_dir_fd": folder}
    if replacing:
        return os.rename(partial, file.name, **within)  # noqa: PTH104 - pathlib knows no descriptors
    try:
        try:
            os.link(partial, file.name, **within, follow_symlinks=False)
        except OSError as error:
            if error.errno not in {errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS}:
                raise
            # A volume without hard links, as on many sticks: the name is reserved first.
            os.close(os.open(file.name, _NEW, dir_fd=folder))
            os.rename(partial, file.name, **within)  # noqa: PTH104 - as above
    except FileExistsError:
        raise UsageError(f"{file} was made by another program in the meantime", hint="name another file") from None
