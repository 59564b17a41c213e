"""Writer of artifacts: replaces the old set with the new one atomically, with concurrent readers and writers."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devai_tasks.system.errors import DevaiError
from devai_tasks.workspace import writer
from devai_tasks.workspace.writer import Artifacts

# Two sets without common content, so a mixture of both is recognized.
SETS: tuple[Artifacts, ...] = tuple(
    {f"compose/{part}/file{number}": f"{name}{number}\n" * 50 for part in ("", "deep") for number in range(4)}
    for name in ("old", "new")
)
SETS = tuple({path.replace("//", "/"): text for path, text in files.items()} for files in SETS)

WRITE_ALTERNATELY = """
import sys, itertools
from pathlib import Path
from devai_tasks.workspace import writer
folder, rounds, sets = Path(sys.argv[1]), int(sys.argv[2]), eval(sys.stdin.read())
print("ready", flush=True)
for turn in range(rounds) if rounds else itertools.count():
    writer.write(sets[turn % 2], folder)
"""


@contextlib.contextmanager
def another_writer(folder: Path, rounds: int = 0) -> Iterator[subprocess.Popen[str]]:
    """Run a process that writes the two sets alternately: `rounds` times, or with 0 until it is killed."""
    command = [sys.executable, "-P", "-c", WRITE_ALTERNATELY, str(folder), str(rounds)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(repr(SETS))
        process.stdin.close()
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


def read(target: Path) -> Artifacts:
    """Return the files of a target, without files that another process removes meanwhile."""
    files: Artifacts = {}
    for path in SETS[0]:
        with contextlib.suppress(FileNotFoundError):
            files[path] = (target / path.removeprefix("compose/")).read_text(encoding="utf-8")
    return files


def linked_name(target: Path) -> str:
    return target.readlink().name


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_files_are_written_to_the_folder_of_their_target(tmp_path: Path) -> None:
    folder = writer.write({"compose/.env": "A=1\n", "image/deep/file": "é\n"}, tmp_path / "generated/local-dev")
    assert folder == tmp_path / "generated/local-dev"
    assert (folder / "compose/.env").read_text(encoding="utf-8") == "A=1\n"
    assert (folder / "image/deep/file").read_text(encoding="utf-8") == "é\n"


def test_unchanged_set_is_not_rewritten(tmp_path: Path) -> None:
    writer.write(SETS[0], tmp_path)
    before = linked_name(tmp_path / "compose")
    times = {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*") if path.name != ".lock"}
    writer.write(SETS[0], tmp_path)
    assert linked_name(tmp_path / "compose") == before
    assert {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*") if path.name != ".lock"} == times


def test_changed_file_keeps_the_timestamps_of_other_files(tmp_path: Path) -> None:
    writer.write({"compose/same": "same", "compose/other": "one"}, tmp_path)
    before = (tmp_path / "compose/same").stat().st_mtime_ns
    writer.write({"compose/same": "same", "compose/other": "two"}, tmp_path)
    assert (tmp_path / "compose/same").stat().st_mtime_ns == before
    assert (tmp_path / "compose/other").read_text(encoding="utf-8") == "two"


def test_other_targets_are_not_rewritten(tmp_path: Path) -> None:
    writer.write({"compose/file": "one", "image/file": "one"}, tmp_path)
    before = linked_name(tmp_path / "image")
    writer.write({"compose/file": "two"}, tmp_path)
    assert linked_name(tmp_path / "image") == before


def test_file_that_is_no_longer_rendered_is_removed(tmp_path: Path) -> None:
    writer.write({"compose/kept": "x", "compose/deep/removed": "x"}, tmp_path)
    writer.write({"compose/kept": "x"}, tmp_path)
    assert writer.present(tmp_path / "compose") == {"kept": "x"}
    assert not (tmp_path / "compose/deep").exists()


def test_edited_file_is_restored_and_added_file_is_removed(tmp_path: Path) -> None:
    writer.write(SETS[0], tmp_path)
    (tmp_path / "compose/file0").write_text("edited", encoding="utf-8")
    (tmp_path / "compose/added").write_text("added", encoding="utf-8")
    writer.write(SETS[0], tmp_path)
    assert read(tmp_path / "compose") == SETS[0]


def test_file_that_is_no_longer_utf_8_is_restored(tmp_path: Path) -> None:
    writer.write(SETS[0], tmp_path)
    (tmp_path / "compose/file0").write_bytes(b"\xff\xfe")
    writer.write(SETS[0], tmp_path)
    assert read(tmp_path / "compose") == SETS[0]


def test_folder_in_place_of_the_link_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "compose").mkdir()
    (tmp_path / "compose/file").write_text("copied", encoding="utf-8")
    writer.write({"compose/file": "rendered"}, tmp_path)
    assert writer.present(tmp_path / "compose") == {"file": "rendered"}


def test_only_the_newest_set_is_kept(tmp_path: Path) -> None:
    for turn in range(4):
        writer.write(SETS[turn % 2], tmp_path)
    assert len([name for name in names_in(tmp_path) if name.startswith(".compose-")]) == 1


def test_files_of_an_interrupted_run_are_removed(tmp_path: Path) -> None:
    writer.write(SETS[0], tmp_path)
    (tmp_path / ".compose-left").mkdir()
    (tmp_path / ".compose-left/file0").write_text("half", encoding="utf-8")
    (tmp_path / ".compose-left.link").symlink_to(".compose-left")
    writer.write(SETS[1], tmp_path)
    assert names_in(tmp_path) == sorted([".lock", "compose", linked_name(tmp_path / "compose")])


def test_link_in_place_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    """The writer would remove files from the target of the link."""
    (tmp_path / "elsewhere/compose").mkdir(parents=True)
    (tmp_path / "elsewhere/compose/mine").touch()
    (tmp_path / "local-dev").symlink_to("elsewhere")
    with pytest.raises(DevaiError, match="local-dev is a link to elsewhere; nothing is written through it"):
        writer.write(SETS[0], tmp_path / "local-dev")
    assert names_in(tmp_path / "elsewhere") == ["compose"]
    assert (tmp_path / "elsewhere/compose/mine").exists()


@pytest.mark.parametrize("run", range(6))
def test_killed_writer_leaves_the_old_or_the_new_set(tmp_path: Path, run: int) -> None:
    writer.write(SETS[0], tmp_path)
    with another_writer(tmp_path) as process:
        time.sleep(random.Random(run).uniform(0.001, 0.02))
        process.kill()
    assert read(tmp_path / "compose") in SETS
    writer.write({"compose/file": "after"}, tmp_path)
    assert names_in(tmp_path) == sorted([".lock", "compose", linked_name(tmp_path / "compose")])


def test_concurrent_writers_never_show_a_mixed_set(tmp_path: Path) -> None:
    writer.write(SETS[0], tmp_path)
    complete, running = 0, True
    with another_writer(tmp_path, 50) as first, another_writer(tmp_path, 50) as second:
        while running:
            running = first.poll() is None or second.poll() is None
            target = (tmp_path / "compose").resolve()  # resolved once, as by a program that opens a folder
            seen = read(target)
            assert any(seen.items() <= files.items() for files in SETS)
            if (tmp_path / "compose").resolve() == target:  # the set was not replaced during the read
                assert seen in SETS
                complete += 1
        assert first.returncode == second.returncode == 0
    assert complete > 0
    assert read(tmp_path / "compose") in SETS
