"""Entries that a restore accepts, skips or refuses in an untrusted archive; tests/smoke restores into a real lab."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest
from devai_archive import RestoreError
from harness.archives import Make, folder, hard_link, left_behind, member, packed, reasons, restore, symlink, tree

MOUNTED = "inside a folder that is mounted into the home"
OUTSIDE = "a link to a path outside the home"


def test_backup_by_gnu_tar_is_restored_completely(home: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    long_name = "/".join(["a long name of a folder, longer than a field in a header"] * 4)
    (source / long_name).mkdir(parents=True)
    (source / long_name / "notes.ipynb").write_text("notes")
    (source / "script.sh").write_text("#!/bin/sh")
    (source / "script.sh").chmod(0o750)
    os.utime(source / "script.sh", (1_000_000_000, 1_000_000_000))
    os.link(source / "script.sh", source / "same.sh")
    (source / ".venv/bin").mkdir(parents=True)
    (source / ".venv/bin/python").symlink_to("/usr/bin/python3")
    (source / ".venv/bin/python3").symlink_to("python")
    (source / "data").symlink_to("work/data")
    (source / "empty").mkdir(mode=0o500)
    command = [
        "tar",
        "--create",
        "--gzip",
        f"--directory={source}",
        "--",
        *(f"./{path.name}" for path in source.iterdir()),
    ]
    archive = subprocess.run(command, capture_output=True, check=True).stdout
    report = restore(home, archive)
    assert reasons(report) == {}
    assert tree(home) == {**tree(source), "work/tasks.py": "the user's"}
    script = (home / "script.sh").stat()
    assert (stat.S_IMODE(script.st_mode), script.st_mtime) == (0o750, 1_000_000_000)
    assert (home / "same.sh").stat().st_ino == script.st_ino
    assert (home / "empty").is_dir()
    assert (report.files, report.bytes) == (6, len("notes") + len("#!/bin/sh"))


def test_files_with_the_same_name_are_replaced_and_others_stay(home: Path) -> None:
    for name in ("notes/old.txt", "notes/both.txt", "now-a-folder", "now-a-file/with-an-entry"):
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).write_text("old")
    (home / "empty").mkdir()
    report = restore(
        home,
        packed(
            member("./notes/both.txt", b"new"), member("./notes/new.txt", b"new"), member("./now-a-folder/a", b"new"),
            member("./now-a-file", b"new"), member("./empty", b"new"),
        ),
    )  # fmt: skip
    assert tree(home) == {
        "empty": "new", "notes/both.txt": "new", "notes/new.txt": "new", "notes/old.txt": "old",
        "now-a-file/with-an-entry": "old", "now-a-folder/a": "new", "work/tasks.py": "the user's",
    }  # fmt: skip
    assert reasons(report) == {os.strerror(errno.ENOTEMPTY): ["now-a-file"]}
    assert report.files == 4


REFUSED = {
    "an absolute name": [member("/tmp/x", b"x")],
    "a name outside the home": [member("a/../../outside/kept.txt", b"x")],
    "a file through a link of the archive": [symlink("x", "work"), member("x/tasks.py", b"x")],
    "a folder through a link of the archive": [symlink("x", "work"), folder("x/y")],
    "a hard link to a name outside the home": [hard_link("x", "../outside/kept.txt")],
    "a hard link to an absolute name": [hard_link("x", "/etc/passwd")],
    "a folder that becomes a link": [folder("x"), symlink("x", "work"), member("x/tasks.py", b"x")],
    "too many levels of folders": [member("a/" * 200 + "x", b"x")],
    "a header that is too large": [member("x", b"x", pax_headers={"comment": "a" * (1 << 17)})],
}


@pytest.mark.parametrize("entries", REFUSED.values(), ids=REFUSED)
def test_archive_that_no_backup_resembles_is_refused_completely(home: Path, entries: list[Make]) -> None:
    before = tree(home.parent)
    with pytest.raises(RestoreError):
        restore(home, packed(member("./first.txt", b"first"), *entries))
    assert tree(home.parent) == before
    assert left_behind(home) == []


SKIPPED = {
    "a file in a mounted folder": ([folder("./work"), member("./work/tasks.py", b"x")], MOUNTED),
    "a hook in a mounted folder": ([member("work/.git/hooks/post-checkout", b"x", mode=0o755)], MOUNTED),
    "the mounted folder as a link": ([symlink("work", "notes")], MOUNTED),
    "the mounted folder as a file": ([member("./work", b"x")], MOUNTED),
    "a hard link in a mounted folder": ([hard_link("work/tasks.py", "first.txt")], MOUNTED),
    "a link to an absolute path": ([symlink("x", "/etc/passwd")], OUTSIDE),
    "a link to the parent": ([symlink("x", "..")], OUTSIDE),
    "a link that goes down and then up": ([symlink("a/x", "b/../../../outside")], OUTSIDE),
    "a link through a folder of programs": ([symlink("x", "/usr/../etc/passwd")], OUTSIDE),
    "a hard link that moves a link up": (
        [symlink("a/b/x", "../../../outside"), hard_link("x", "a/b/x")],
        OUTSIDE,
    ),
    "a hard link to a mounted file": ([hard_link("x", "work/tasks.py")], "a hard link to a file that is not restored"),
    "a pipe": ([member("x", type=tarfile.FIFOTYPE)], "neither a file, nor a folder, nor a link"),
    "a device": (
        [member("x", type=tarfile.BLKTYPE, devmajor=8, devminor=0)],
        "neither a file, nor a folder, nor a link",
    ),
    "the lock of restores": ([symlink(".devai-restore-lock", "work/x")], "a name that is reserved for restores"),
    "a name that is too long": ([member("x" * 300, b"x")], os.strerror(errno.ENAMETOOLONG)),
}


@pytest.mark.parametrize(("entries", "reason"), SKIPPED.values(), ids=SKIPPED)
def test_invalid_entry_is_skipped_and_reported(home: Path, entries: list[Make], reason: str) -> None:
    before = tree(home.parent)
    report = restore(home, packed(member("./first.txt", b"first"), *entries))
    assert reason in reasons(report)
    assert tree(home.parent) == {**before, "home/first.txt": "first"}
    assert left_behind(home) == []


def test_links_in_the_home_are_replaced_and_not_followed(home: Path) -> None:
    """Otherwise a first archive could create a link that a second archive follows."""
    (home / "x").symlink_to("work")
    (home / "y").symlink_to(home.parent / "outside")
    (home / "z").symlink_to(home.parent / "outside/kept.txt")
    report = restore(home, packed(member("x/tasks.py", b"new"), member("y/kept.txt", b"new"), member("z", b"new")))
    assert reasons(report) == {}
    assert tree(home.parent) == {
        "home/work/tasks.py": "the user's", "home/x/tasks.py": "new", "home/y/kept.txt": "new", "home/z": "new",
        "outside/kept.txt": "outside",
    }  # fmt: skip


def test_setuid_setgid_and_sticky_bits_are_removed(home: Path) -> None:
    restore(home, packed(member("a", b"x", mode=0o6755), folder("b", 0o7777)))
    assert stat.S_IMODE((home / "a").stat().st_mode) == 0o755
    assert stat.S_IMODE((home / "b").stat().st_mode) == 0o777


def test_files_are_restored_into_read_only_folders(home: Path) -> None:
    """The module cache of Go consists of read-only folders."""
    archive = packed(folder("go", 0o555), member("go/mod.go", b"new", mode=0o444))
    restore(home, archive)
    (home / "go").chmod(0o555)
    assert reasons(restore(home, archive)) == {}
    assert stat.S_IMODE((home / "go").stat().st_mode) == 0o555


def test_name_that_gnu_tar_and_python_read_differently_is_written_as_checked(home: Path) -> None:
    harmless = member("harmless", b"x", pax_headers={"GNU.sparse.name": "work/tasks.py"})
    restore(home, packed(harmless, format=tarfile.PAX_FORMAT))
    assert (home / "work/tasks.py").read_text() == "the user's"


SPARSE = {
    "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "work/tasks.py", "GNU.sparse.realsize": "9",
}  # fmt: skip


def test_sparse_files_are_refused(home: Path) -> None:
    with pytest.raises(RestoreError):
        restore(
            home, packed(member("x", b"1\n0\n1\n" + bytes(506) + b"x", pax_headers=SPARSE), format=tarfile.PAX_FORMAT)
        )


def test_global_headers_are_refused(home: Path) -> None:
    with pytest.raises(RestoreError, match="global header"):
        restore(home, packed(member("x", b"x"), format=tarfile.PAX_FORMAT, pax_headers={"path": "work/tasks.py"}))
