"""The writer of artifacts: one step from the old set to the new one, whoever else writes, reads or dies."""

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

# Two sets that share no text: what is read is one of them, or a mixture.
SETS: tuple[Artifacts, ...] = tuple(
    {f"compose/{part}/file{number}": f"{name}{number}\n" * 50 for part in ("", "deep") for number in range(4)}
    for name in ("old", "new")
)
SETS = tuple({path.replace("//", "/"): text for path, text in files.items()} for files in SETS)

WRITE_BY_TURNS = """
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
    """A process that writes both sets by turns, so many times or until it is killed."""
    command = [sys.executable, "-P", "-c", WRITE_BY_TURNS, str(folder), str(rounds)]
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
    """What is in a target; less where another process removes it meanwhile."""
    found: Artifacts = {}
    for path in SETS[0]:
        with contextlib.suppress(FileNotFoundError):
            found[path] = (target / path.removeprefix("compose/")).read_text(encoding="utf-8")
    return found


def link(target: Path) -> str:
    return target.readlink().name


def inside(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_every_file_is_there_below_the_folder_of_its_target(tmp_path: Path) -> None:
    folder = writer.write({"compose/.env": "A=1\n", "image/deep/file": "é\n"}, tmp_path / "generated/local-dev")
    assert folder == tmp_path / "generated/local-dev"
    assert (folder / "compose/.env").read_text(encoding="utf-8") == "A=1\n"
    assert (folder / "image/deep/file").read_text(encoding="utf-8") == "é\n"


def test_an_unchanged_set_is_not_touched(tmp_path: Path) -> None:
    writer.write(SETS[0], tmp_path)
    before = link(tmp_path / "compose")
    times = {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*") if path.name != ".lock"}
    writer.write(SETS[0], tmp_path)
    assert link(tmp_path / "compose") == before
    assert {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*") if path.name != ".lock"} == times


def test_a_changed_file_leaves_the_time_stamp_of_the_others(tmp_path: Path) -> None:
    writer.write({"compose/same": "same", "compose/other": "one"}, tmp_path)
    before = (tmp_path / "compose/same").stat().st_mtime_ns
    writer.write({"compose/same": "same", "compose/other": "two"}, tmp_path)
    assert (tmp_path / "compose/same").stat().st_mtime_ns == before
    assert (tmp_path / "compose/other").read_text(encoding="utf-8") == "two"


def test_other_targets_stay_as_they_are(tmp_path: Path) -> None:
    writer.write({"compose/file": "one", "image/file": "one"}, tmp_path)
    before = link(tmp_path / "image")
    writer.write({"compose/file": "two"}, tmp_path)
    assert link(tmp_path / "image") == before


def test_a_file_that_is_no_longer_rendered_is_gone(tmp_path: Path) -> None:
    writer.write({"compose/stays": "x", "compose/deep/goes": "x"}, tmp_path)
    writer.write({"compose/stays": "x"}, tmp_path)
    assert writer.present(tmp_path / "compose") == {"stays": "x"}
    assert not (tmp_path / "compose/deep").exists()


def test_a_file_edited_by_hand_is_restored_and_one_put_beside_is_removed(tmp_path: Path) -> None:
    writer.write(SETS[0], tmp_path)
    (tmp_path / "compose/file0").write_text("edited", encoding="utf-8")
    (tmp_path / "compose/added").write_text("added", encoding="utf-8")
    writer.write(SETS[0], tmp_path)
    assert read(tmp_path / "compose") == SETS[0]


def test_a_file_that_is_no_text_any_more_is_restored(tmp_path: Path) -> None:
    writer.write(SETS[0], tmp_path)
    (tmp_path / "compose/file0").write_bytes(b"\xff\xfe")
    writer.write(SETS[0], tmp_path)
    assert read(tmp_path / "compose") == SETS[0]


def test_a_copy_of_the_folder_that_has_no_links_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "compose").mkdir()
    (tmp_path / "compose/file").write_text("copied", encoding="utf-8")
    writer.write({"compose/file": "rendered"}, tmp_path)
    assert writer.present(tmp_path / "compose") == {"file": "rendered"}


def test_only_the_newest_set_is_kept(tmp_path: Path) -> None:
    for turn in range(4):
        writer.write(SETS[turn % 2], tmp_path)
    assert len([name for name in inside(tmp_path) if name.startswith(".compose-")]) == 1


def test_orphans_of_a_run_that_was_cut_off_are_cleaned_by_the_next(tmp_path: Path) -> None:
    writer.write(SETS[0], tmp_path)
    (tmp_path / ".compose-left").mkdir()
    (tmp_path / ".compose-left/file0").write_text("half", encoding="utf-8")
    (tmp_path / ".compose-left.link").symlink_to(".compose-left")
    writer.write(SETS[1], tmp_path)
    assert inside(tmp_path) == sorted([".lock", "compose", link(tmp_path / "compose")])


def test_a_link_in_place_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    """What is no longer rendered is removed from the folder."""
    (tmp_path / "elsewhere/compose").mkdir(parents=True)
    (tmp_path / "elsewhere/compose/mine").touch()
    (tmp_path / "local-dev").symlink_to("elsewhere")
    with pytest.raises(DevaiError, match="local-dev is a link to elsewhere; nothing is written through it"):
        writer.write(SETS[0], tmp_path / "local-dev")
    assert inside(tmp_path / "elsewhere") == ["compose"]
    assert (tmp_path / "elsewhere/compose/mine").exists()


@pytest.mark.parametrize("run", range(6))
def test_a_writer_that_is_killed_leaves_the_old_set_or_the_new_one(tmp_path: Path, run: int) -> None:
    writer.write(SETS[0], tmp_path)
    with another_writer(tmp_path) as process:
        time.sleep(random.Random(run).uniform(0.001, 0.02))
        process.kill()
    assert read(tmp_path / "compose") in SETS
    writer.write({"compose/file": "after"}, tmp_path)
    assert inside(tmp_path) == sorted([".lock", "compose", link(tmp_path / "compose")])


def test_two_writers_never_show_a_reader_a_mixed_set(tmp_path: Path) -> None:
    writer.write(SETS[0], tmp_path)
    whole, running = 0, True
    with another_writer(tmp_path, 50) as one, another_writer(tmp_path, 50) as two:
        while running:
            running = one.poll() is None or two.poll() is None
            target = (tmp_path / "compose").resolve()  # once, as a program that opens a folder does
            found = read(target)
            assert any(found.items() <= files.items() for files in SETS)
            if (tmp_path / "compose").resolve() == target:  # not replaced while it was read
                assert found in SETS
                whole += 1
        assert one.returncode == two.returncode == 0
    assert whole > 0
    assert read(tmp_path / "compose") in SETS
