"""Course of a restore: damaged archives, limits, locks and interruptions. Entries are tested in test_archive.py."""

from __future__ import annotations

import errno
import gzip
import json
import os
import shlex
import stat
import subprocess
import sys
import tarfile
import time
import zlib
from pathlib import Path

import devai_archive
import devai_restore
import pytest
from devai_archive import NoSpaceError, RestoreError
from devai_restore import BusyError
from harness.archives import hard_link, left_behind, member, packed, reasons, restore, symlink, tree


def of_blocks(*blocks: bytes) -> bytes:
    return gzip.compress(b"".join(blocks))


FILE = gzip.decompress(packed(member("file.txt", b"content")))
HEADER, CONTENT = FILE[:512], FILE[512:1024]
END = bytes(1024)
PARTS = packed(*(member(f"{number}", os.urandom(1000)) for number in range(20)))
DAMAGED = {
    "nothing": b"",
    "not an archive": b"<html>",
    "an empty archive": gzip.compress(b""),
    "not a tar archive": gzip.compress(b"text" * 1000),
    "no end mark": of_blocks(HEADER, CONTENT),
    "a cut header": of_blocks(HEADER, CONTENT, HEADER[:100]),
    "a damaged header": of_blocks(HEADER, CONTENT, b"x" * 512, END),
    "a cut file": of_blocks(HEADER, CONTENT[:3]),
    "a negative size": of_blocks(tarfile.TarInfo("x").tobuf()[:124] + b"\xff" * 12 + HEADER[136:], END),
    "half of an archive": PARTS[: len(PARTS) // 2],
    "all but the checksum": PARTS[:-8],
    "a wrong checksum": PARTS[:-8] + bytes(8),
}


@pytest.mark.parametrize("archive", DAMAGED.values(), ids=DAMAGED)
def test_incomplete_archive_restores_nothing(home: Path, archive: bytes) -> None:
    before = tree(home)
    with pytest.raises(RestoreError):
        restore(home, archive)
    assert tree(home) == before
    assert left_behind(home) == []


def limit_volume(monkeypatch: pytest.MonkeyPatch, *, free: int, entries: int) -> None:
    """Limit the free bytes and entries of the home's volume."""
    volume = os.statvfs("/")
    values = (1, 1, 10**9, free, free, 10**6, entries, entries, volume.f_flag, 255)
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(values))


def test_restore_leaves_reserved_space_in_the_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = packed(member("zeros", bytes(10 << 20)))
    limit_volume(monkeypatch, free=devai_archive.RESERVED_BYTES + (10 << 20), entries=10**6)
    with pytest.raises(NoSpaceError, match="larger than the free space of the home, of which 100 MiB stay free"):
        restore(home, archive)
    assert left_behind(home) == []
    limit_volume(monkeypatch, free=devai_archive.RESERVED_BYTES + (11 << 20), entries=10**6)
    assert restore(home, archive).bytes == 10 << 20


def test_archive_with_more_entries_than_the_volume_allows_is_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit_volume(monkeypatch, free=1 << 40, entries=100)
    with pytest.raises(NoSpaceError, match="more entries"):
        restore(home, packed(*(member(f"{number}") for number in range(100))))
    with pytest.raises(NoSpaceError, match="more entries"):
        restore(home, packed(*(member(f"{number}/a/b") for number in range(50))))
    assert left_behind(home) == []


def test_memory_does_not_grow_with_the_archive(home: Path) -> None:
    """The archive has a file of zeros that is larger than the memory limit of the process that unpacks it."""
    size = 160 << 20
    info = tarfile.TarInfo("zeros")
    info.size = size
    archive = zlib.compressobj(1, wbits=31)
    command = ["sh", "-c", f"ulimit -v 131072; exec {shlex.join(program(home))}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        assert worker.stdin
        worker.stdin.write(archive.compress(info.tobuf()))
        for _ in range(size >> 20):
            worker.stdin.write(archive.compress(bytes(1 << 20)))
        output, _ = worker.communicate(archive.compress(END) + archive.flush())
    assert json.loads(output) == {"files": 1, "bytes": size, "skipped": []}


def program(home: Path) -> list[str]:
    """Return the command with which the lab's server starts a restore."""
    return [sys.executable, "-E", "-s", "-S", devai_restore.__file__, str(home)]


def wait_for_start(home: Path, process: subprocess.Popen[bytes]) -> None:
    """Return as soon as the restore has started."""
    end = time.monotonic() + 20
    while len(left_behind(home)) < len(["the lock", "the folder"]):
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)


def started(home: Path, archive: bytes) -> subprocess.Popen[bytes]:
    """Start a restore, and send a part of its archive."""
    process = subprocess.Popen(program(home), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin
    process.stdin.write(archive)
    process.stdin.flush()
    wait_for_start(home, process)
    return process


def test_only_one_restore_runs_and_a_killed_one_is_cleaned_up(home: Path) -> None:
    with started(home, PARTS[: len(PARTS) // 2]) as first:
        with pytest.raises(BusyError, match="another restore is running"):
            restore(home, PARTS)
        devai_restore.clean(home)
        assert len(left_behind(home)) == 2  # of the running restore
        first.kill()
    assert len(left_behind(home)) == 2
    (home / f"{devai_archive.RESERVED_NAME}link").symlink_to(home.parent / "outside")
    devai_restore.clean(home)
    assert left_behind(home) == [f"{devai_archive.RESERVED_NAME}link"]
    assert (home.parent / "outside/kept.txt").exists()
    assert restore(home, PARTS).files == 20


def test_interrupted_upload_leaves_no_files(home: Path) -> None:
    before = tree(home)
    with started(home, PARTS[: len(PARTS) // 2]) as process:
        output, _ = process.communicate()
    assert b'"status": 400' in output
    assert tree(home) == before
    assert left_behind(home) == []


def test_archive_is_restored_on_a_volume_without_links_and_renames(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mounted bucket supports neither links nor renames of folders."""
    rename = os.rename

    def rename_file(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        if stat.S_ISDIR(os.stat(source, dir_fd=src_dir_fd, follow_symlinks=False).st_mode):
            raise OSError(errno.EMFILE, "too many files in a folder")
        rename(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no links")

    for name, replacement in {"rename": rename_file, "link": refuse, "symlink": refuse}.items():
        monkeypatch.setattr(os, name, replacement)
    report = restore(home, packed(member("a/b/x", b"x"), hard_link("a/y", "a/b/x"), symlink("z", "a/y")))
    assert tree(home) == {"a/b/x": "x", "a/y": "x", "work/tasks.py": "the user's"}
    assert reasons(report) == {"a link, which the volume of the home does not support": ["z"]}


def test_mounts_are_those_inside_the_home(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    line = "36 35 98:0 /mnt1 {} rw,noatime master:1 - ext3 /dev/root rw\n"
    points = ["/", "/home/devai", "/home/devai/work", r"/home/devai/my\040data/x", "/home/devaix", "/home"]
    table.write_text("".join(line.format(point) for point in points), encoding="utf-8")
    assert devai_restore.mounts(Path("/home/devai"), table) == {("work",), ("my data", "x")}
