"""Unpacks an untrusted archive of a home into a folder.

The archive is read once, by one parser, and every member is checked before it is written. No step follows a symbolic
link. Entries that a home must not contain are skipped and reported. An archive with a feature that backups never use is
refused as a whole.
"""

from __future__ import annotations

import errno
import gzip
import os
import shutil
import stat
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

RESERVED_NAME = ".devai-restore-"
"""Prefix of the names that a restore uses in a home."""

CHUNK_BYTES = 1 << 18
# Limit for the names and attributes of one member; a path has at most 4096 bytes on Linux.
MAX_HEADER_BYTES = 1 << 16
MAX_DEPTH = 100
MAX_ENTRIES = 1_000_000
# Space that stays free in the home, and the space that an entry uses in addition to its content.
RESERVED_BYTES = 100 << 20
BLOCK_BYTES = 4096
MAX_EXAMPLES = 5

# Folders with the programs of the image. Python's virtual environments contain links to them.
PROGRAM_FOLDERS = ("/usr/", "/opt/")

_TWICE = "is in the archive both as a folder and as another type"

Names = tuple[str, ...]
"""The parts of an entry's path, relative to the home."""


class RestoreError(Exception):
    """Nothing was restored, for the reason in the message; `status` is an HTTP status code."""

    status = 400


class NoSpaceError(RestoreError):
    """The home has not enough space for the archive."""

    status = 507


@dataclass
class Report:
    """The restored entries, and the skipped ones by reason."""

    files: int = 0
    bytes: int = 0
    skipped: dict[str, list[str]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def skip(self, reason: str, path: Names | str) -> None:
        """Record an entry that is not restored."""
        self.counts[reason] = self.counts.get(reason, 0) + 1
        names = self.skipped.setdefault(reason, [])
        if len(names) < MAX_EXAMPLES:
            names.append(path if isinstance(path, str) else "/".join(path))

    def as_json(self) -> dict[str, Any]:
        """Return the report in the format that the client expects."""
        skipped = [
            {"reason": reason, "count": self.counts[reason], "names": names} for reason, names in self.skipped.items()
        ]
        return {"files": self.files, "bytes": self.bytes, "skipped": skipped}


@contextmanager
def folder_of(path: Path | str, parent: int | None = None) -> Iterator[int]:
    """Open a folder, and close it on exit."""
    descriptor = open_folder(path, parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def open_folder(path: Path | str, parent: int | None = None) -> int:
    """Open a folder, relative to `parent` if given. Raises OSError for a symbolic link."""
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)


def lstat(name: str, folder: int) -> os.stat_result | None:
    """Return the attributes of an entry, without following a symbolic link; None if the entry is missing."""
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def is_folder(entry: os.stat_result | None) -> bool:
    """Whether an entry exists and is a folder."""
    return entry is not None and stat.S_ISDIR(entry.st_mode)


@dataclass
class Space:
    """Bytes and entries that an archive may still use."""

    bytes: int
    entries: int

    @classmethod
    def of(cls, home: Path) -> Space:
        """Return the free space of the home's volume, without the reserve."""
        volume = os.statvfs(home)
        # Some file systems do not count entries.
        entries = volume.f_favail * 9 // 10 if volume.f_files else MAX_ENTRIES
        return cls(volume.f_bavail * volume.f_frsize - RESERVED_BYTES, min(entries, MAX_ENTRIES))

    def take(self, size: int = 0) -> None:
        """Reserve the space for one entry. Raises NoSpaceError if the space is exhausted."""
        self.entries -= 1
        self.bytes -= size + BLOCK_BYTES
        if self.entries < 0:
            raise NoSpaceError("the archive has more entries than the home can hold")
        if self.bytes < 0:
            raise NoSpaceError(
                f"the unpacked archive is larger than the free space of the home, of which {RESERVED_BYTES >> 20} MiB "
                "stay free; existing files are replaced only after the whole archive is unpacked"
            )


class _Source:
    """The decompressed bytes of an archive, for tarfile: read forward only, with a limit for headers."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = gzip.GzipFile(fileobj=stream)
        self._position = 0
        self.header_bytes = MAX_HEADER_BYTES
        self.last = b""

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> None:
        """Skip content up to a position."""
        if position < self._position:
            raise RestoreError("the archive is damaged: a member begins before the previous one ends")
        while missing := position - self._position:
            if not self.content(missing):
                raise RestoreError("the archive is incomplete: it ends within a member")

    def read(self, size: int) -> bytes:
        """Read a header; the limit applies to all headers of one member together."""
        self.header_bytes -= size
        if self.header_bytes < 0:
            raise RestoreError(f"the archive has a header of more than {MAX_HEADER_BYTES >> 10} KiB")
        self.last = self._read(size)
        return self.last

    def content(self, size: int) -> bytes:
        """Read at most `size` bytes of a member's content."""
        return self._read(min(size, CHUNK_BYTES))

    def _read(self, size: int) -> bytes:
        try:
            data = self._stream.read(size)
        except EOFError:
            raise RestoreError("the archive is incomplete: the compressed data ends too early") from None
        except (OSError, zlib.error) as error:
            raise RestoreError(f"not a gzip archive, or a damaged one: {error}") from None
        self._position += len(data)
        return data


class Unpacking:
    """Unpacks an archive into an empty folder."""

    def __init__(self, folder: int, home: Path, mounted: set[Names], space: Space) -> None:
        self._root = folder
        self._home = home
        self._mounted = mounted
        self._space = space
        self._report = Report()
        # Members of one folder follow each other, so the last folder stays open.
        self._parent: tuple[Names, int] | None = None

    def run(self, stream: IO[bytes]) -> Report:
        """Unpack the whole archive."""
        source = _Source(stream)
        try:
            for member in _members(source):
                self._unpack(member, source)
            # Read to the end: the checksum comes last.
            while source.content(CHUNK_BYTES):
                pass
        finally:
            self._close_parent()
        return self._report

    def _unpack(self, member: tarfile.TarInfo, source: _Source) -> None:
        path = _path(member.name)
        write = self._writer(member, source)
        if not path:
            return  # the home itself keeps its attributes
        if write is None:
            self._report.skip("neither a file, nor a folder, nor a link", path)
        elif path[0].startswith(RESERVED_NAME):
            self._report.skip("a name that is reserved for restores", path)
        elif self._is_mounted(path):
            self._report.skip("inside a folder that is mounted into the home", path)
        else:
            if not member.isdir():  # space for a folder is reserved when the folder is created
                self._space.take(member.size if member.isreg() else 0)
            try:
                write(path)
            except OSError as error:
                # Not every file system supports every name.
                if error.errno not in {errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ}:
                    raise
                self._report.skip(str(error.strerror), path)

    def _writer(self, member: tarfile.TarInfo, source: _Source) -> Callable[[Names], None] | None:
        if member.issparse():
            raise RestoreError(f"{member.name}: the archive has sparse files; no backup has any")
        if member.isreg():
            return lambda path: self._write_file(path, member, source)
        if member.isdir():
            return lambda path: self._make_folder(path, member)
        if member.issym():
            return lambda path: self._make_symlink(path, member.linkname)
        if member.islnk():
            return lambda path: self._make_hard_link(path, _path(member.linkname))
        return None

    def _is_mounted(self, path: Names) -> bool:
        return any(path[: len(mount)] == mount for mount in self._mounted)

    def _write_file(self, path: Names, member: tarfile.TarInfo, source: _Source) -> None:
        with self._create(path) as file:
            missing = member.size
            while missing > 0:
                data = source.content(missing)
                if not data:
                    raise RestoreError(f"the archive is incomplete: it ends within {member.name}")
                missing -= len(data)
                file.write(data)
            file.flush()
            # Some file systems support neither modes nor timestamps.
            with suppress(OSError):
                os.fchmod(file.fileno(), member.mode & 0o777)
            with suppress(OSError, OverflowError, ValueError):
                os.utime(file.fileno(), (member.mtime, member.mtime))
        self._report.files += 1
        self._report.bytes += member.size

    @contextmanager
    def _create(self, path: Names) -> Iterator[IO[bytes]]:
        folder, name = self._free(path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(name, "wb", opener=lambda name, _: os.open(name, flags, 0o600, dir_fd=folder)) as file:
            yield file

    def _make_folder(self, path: Names, member: tarfile.TarInfo) -> None:
        # Mode 0700 allows the owner to remove the folder.
        with suppress(OSError):
            os.fchmod(self._open(path), member.mode & 0o777 | 0o700)

    def _make_symlink(self, path: Names, target: str) -> None:
        if not self._stays_inside(path, target):
            return self._report.skip("a link to a path outside the home", f"{'/'.join(path)} -> {target}")
        folder, name = self._free(path)
        try:
            os.symlink(target, name, dir_fd=folder)
        except OSError as error:
            if error.errno not in {errno.EPERM, errno.ENOTSUP, errno.ENOSYS}:
                raise
            return self._report.skip("a link, which the volume of the home does not support", path)
        self._report.files += 1
        return None

    def _stays_inside(self, path: Names, target: str) -> bool:
        """Whether a link points into the home or to a program of the image, regardless of other links."""
        parts = [part for part in target.split("/") if part not in {"", "."}]
        if target.startswith("/"):
            return ".." not in parts and target.startswith((f"{self._home}/", *PROGRAM_FOLDERS))
        up = next((count for count, part in enumerate(parts) if part != ".."), len(parts))
        return up < len(path) and ".." not in parts[up:]

    def _make_hard_link(self, path: Names, target: Names) -> None:
        """Link to a file that was unpacked before, or copy the file if the volume does not support hard links."""
        with self._existing(target[:-1]) as source:
            linked = None if source is None or not target or target == path else lstat(target[-1], source)
            if source is None or linked is None or stat.S_ISDIR(linked.st_mode):
                return self._report.skip("a hard link to a file that is not restored", path)
            if stat.S_ISLNK(linked.st_mode):
                # The target is checked again: relative to another folder, it may be another path.
                return self._make_symlink(path, os.readlink(target[-1], dir_fd=source))
            folder, name = self._free(path)
            try:
                os.link(target[-1], name, src_dir_fd=source, dst_dir_fd=folder, follow_symlinks=False)
            except OSError:
                self._space.take(linked.st_size)
                self._copy(target[-1], source, path)
        self._report.files += 1
        return None

    def _copy(self, name: str, folder: int, path: Names) -> None:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        with (
            open(name, "rb", opener=lambda name, _: os.open(name, flags, dir_fd=folder)) as original,
            self._create(path) as copy,
        ):
            shutil.copyfileobj(original, copy, CHUNK_BYTES)
            with suppress(OSError):
                os.fchmod(copy.fileno(), stat.S_IMODE(os.fstat(original.fileno()).st_mode))

    def _free(self, path: Names) -> tuple[int, str]:
        """Return the folder and name of an entry to create, after removing an earlier entry of the same name."""
        folder, name = self._open(path[:-1]), path[-1]
        earlier = lstat(name, folder)
        if earlier is not None:
            if stat.S_ISDIR(earlier.st_mode):
                raise RestoreError(f"{'/'.join(path)} {_TWICE}")
            os.unlink(name, dir_fd=folder)
        return folder, name

    def _open(self, path: Names) -> int:
        """Return a folder of the archive, created if it is missing; the next call closes its descriptor."""
        if self._parent is None or self._parent[0] != path:
            folder = self._walk(path, make=True)
            self._close_parent()
            self._parent = (path, folder)
        return self._parent[1]

    def _close_parent(self) -> None:
        if self._parent is not None:
            os.close(self._parent[1])
            self._parent = None

    @contextmanager
    def _existing(self, path: Names) -> Iterator[int | None]:
        """Open a folder that was unpacked before; None if it does not exist."""
        try:
            folder = self._walk(path, make=False)
        except FileNotFoundError:
            yield None
            return
        try:
            yield folder
        finally:
            os.close(folder)

    def _walk(self, path: Names, *, make: bool) -> int:
        folder = open_folder(".", self._root)
        for name in path:
            parent = folder
            try:
                if make and lstat(name, parent) is None:
                    os.mkdir(name, dir_fd=parent)
                    self._space.take()
                folder = open_folder(name, parent)
            except OSError as error:
                if error.errno in {errno.ENOTDIR, errno.ELOOP}:
                    raise RestoreError(f"{name} {_TWICE}") from None
                raise
            finally:
                os.close(parent)
        return folder


def _members(source: _Source) -> Iterator[tarfile.TarInfo]:
    """Yield the members of an archive without keeping them in memory."""
    errors = (tarfile.TarError, ValueError, OverflowError, LookupError, RecursionError)
    try:
        tar = tarfile.TarFile(fileobj=source, encoding="utf-8", errors="surrogateescape")  # type: ignore[arg-type]
        while member := tar.next():
            if tar.pax_headers:
                raise RestoreError("the archive has a global header; no backup has one")
            yield member
            tar.members.clear()  # type: ignore[attr-defined] # otherwise all members stay in memory
            source.header_bytes = MAX_HEADER_BYTES
    except errors as error:
        raise RestoreError(f"not a tar archive, or a damaged one: {error}") from None
    if source.last != bytes(tarfile.BLOCKSIZE):
        raise RestoreError("the archive is incomplete or damaged: the end-of-archive marker is missing")


def _path(name: str) -> Names:
    """Return the parts of a member's path. Raises RestoreError for a path outside the home."""
    parts = tuple(part for part in name.split("/") if part not in {"", "."})
    if name.startswith("/") or ".." in parts:
        raise RestoreError(f"{name}: path outside the home; no backup has one")
    if len(parts) > MAX_DEPTH:
        raise RestoreError(f"{name[:80]}...: more than {MAX_DEPTH} nested folders")
    return parts
