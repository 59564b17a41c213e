"""Archive of a home directory: private and unnamed until it is verified, with a checksum file beside it."""

from __future__ import annotations

import gzip
import hashlib
import os
import tarfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import BufferedIOBase, BufferedReader
from pathlib import Path
from typing import IO

from devai_tasks.system import user_files
from devai_tasks.system.errors import DevaiError

_CHUNK_BYTES = 1 << 20
# Longest line of a checksum file: digest and the longest possible file name.
_CHECKSUM_LINE_BYTES = 1 << 12


@dataclass(frozen=True)
class Content:
    """Number of files in an archive, and their unpacked size in bytes."""

    files: int
    bytes: int


def check_free(file: Path, shared: Sequence[Path]) -> None:
    """Raise UsageError if the archive or its checksum exists, or if the folder is missing."""
    user_files.check_free(file, shared)
    user_files.check_free(_checksum(file), shared)


def verify(archive: IO[bytes]) -> Content:
    """Read a whole archive and count its content. Raises DevaiError if the archive is incomplete or damaged."""
    try:
        archive.seek(0)
        with gzip.open(archive) as stream:
            content = _count(stream)
            while stream.read(_CHUNK_BYTES):
                pass
    except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError) as error:
        raise DevaiError(
            f"the archive is incomplete or damaged ({error}), so it was not kept", hint="try again"
        ) from error
    return content


def _count(stream: gzip.GzipFile) -> Content:
    """Count the files of a tar archive, which ends with a block of zeros."""
    files = total = 0
    while any(block := stream.read(tarfile.BLOCKSIZE)):
        member = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        if member.isreg() or member.issym() or member.islnk():
            files += 1
        if member.isreg():
            total += member.size
        if member.size < 0:
            raise tarfile.ReadError("a file has a negative size")
        end = stream.tell() + -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
        if stream.seek(end) != end:
            raise EOFError("truncated within a file")
    if len(block) != tarfile.BLOCKSIZE:
        raise EOFError("end-of-archive marker missing")
    return Content(files, total)


def digest(archive: BufferedIOBase) -> str:
    """Return the SHA-256 digest of an archive in hexadecimal."""
    archive.seek(0)
    return hashlib.file_digest(archive, "sha256").hexdigest()


def write_checksum(file: Path, shared: Sequence[Path], value: str) -> Path:
    """Write the checksum file of an archive, in the format of `sha256sum --check`; return its path."""
    checksum = _checksum(file)
    with user_files.new(checksum, shared, 0o600) as stream:
        stream.write(f"{value}  {file.name}\n".encode(errors="surrogateescape"))
    return checksum


def check_sum(archive: BufferedReader, shared: Sequence[Path]) -> None:
    """Raise DevaiError if the checksum beside an archive does not match. A missing checksum file is accepted."""
    file = Path(archive.name)
    checksum = _checksum(file)
    if not os.path.lexists(checksum):
        return
    with user_files.opened(checksum, shared) as stream:
        expected = stream.read(_CHECKSUM_LINE_BYTES).decode(errors="replace").split(maxsplit=1)[:1]
    actual = digest(archive)
    if expected != [actual]:
        raise DevaiError(
            f"{file} does not match {checksum}: its checksum is {actual[:12]}...; nothing was changed",
            hint="use another copy of the archive, or remove the checksum file if the archive was changed on purpose",
            code="DEVAI-LAB-005",
        )


def _checksum(file: Path) -> Path:
    return file.with_name(f"{file.name}.sha256")
