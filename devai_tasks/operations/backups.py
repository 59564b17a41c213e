"""An archive of a home on this machine: private and unnamed until it is verified, with a checksum beside it."""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devai_tasks.errors import DevaiError, UsageError

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Content:
    """How many files an archive has, and how many bytes they have unpacked."""

    files: int
    bytes: int


def check_free(file: Path) -> None:
    """Raise UsageError for a file that exists, or that no folder could take."""
    if os.path.lexists(file):
        raise UsageError(f"{file} exists; name another --file, or remove it first")
    if not file.absolute().parent.is_dir():
        raise UsageError(f"there is no folder {file.parent}; make it, or name another --file")


@contextmanager
def private(file: Path) -> Iterator[Path]:
    """Make a file beside another one, for its owner only, that is gone afterwards."""
    descriptor, name = tempfile.mkstemp(prefix=".devai-backup-", dir=file.absolute().parent)
    os.close(descriptor)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def verify(file: Path) -> Content:
    """Read an archive to its end. Raises DevaiError where that is missing, or where something else is wrong."""
    try:
        with gzip.open(file) as stream:
            content = _count(stream)
            while stream.read(_CHUNK_BYTES):
                pass
    except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError) as error:
        raise DevaiError(f"the archive is incomplete or damaged ({error}), so it was not kept; try again") from error
    return content


def _count(stream: gzip.GzipFile) -> Content:
    """Count the files of a tar archive, whose end is a block of zeros."""
    files = total = 0
    while any(block := stream.read(tarfile.BLOCKSIZE)):
        member = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        if member.isreg() or member.issym() or member.islnk():
            files += 1
        if member.isreg():
            total += member.size
        if member.size < 0:
            raise tarfile.ReadError("a file of a negative size")
        end = stream.tell() + -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
        if stream.seek(end) != end:
            raise EOFError("it ends within a file")
    if len(block) != tarfile.BLOCKSIZE:
        raise EOFError("it has no end mark")
    return Content(files, total)


def publish(partial: Path, file: Path) -> Path:
    """Give a verified archive its name and return the path of its checksum. Raises UsageError where the name is taken.

    What it gets is on the disk already, so that no crash leaves a file of that name with less in it.
    """
    with partial.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        os.fsync(stream.fileno())
    _link(partial, file)
    checksum = _checksum(file)
    with private(checksum) as line:
        line.write_text(f"{digest}  {file.name}\n", encoding="utf-8", errors="surrogateescape")
        line.replace(checksum)
    return checksum


def _link(partial: Path, file: Path) -> None:
    """Name a file without replacing another, even one that came a moment ago."""
    try:
        try:
            os.link(partial, file)
        except OSError as error:
            if error.errno not in {errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS}:
                raise
            # A volume without hard links, as on many sticks: the name is reserved first.
            file.open("xb").close()
            partial.replace(file)
    except FileExistsError:
        raise UsageError(f"{file} was made by another program in the meantime; name another --file") from None


def check_sum(file: Path) -> None:
    """Raise DevaiError where the checksum beside an archive does not match; it may be missing."""
    checksum = _checksum(file)
    if not checksum.is_file():
        return
    expected = checksum.read_text(encoding="utf-8", errors="replace").split(maxsplit=1)[:1]
    with file.open("rb") as stream:
        actual = hashlib.file_digest(stream, "sha256").hexdigest()
    if expected != [actual]:
        raise DevaiError(
            f"{file} is not what {checksum} was made for: its checksum is {actual[:12]}...; nothing was changed. Take "
            "another copy of the archive, or remove the checksum if the archive was changed on purpose"
        )


def _checksum(file: Path) -> Path:
    return file.with_name(f"{file.name}.sha256")
