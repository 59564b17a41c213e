"""Which commit files are of."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness.repository import commit, git

from devai_tasks.system.git import revision


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "file").write_text("one", encoding="utf-8")
    git(tmp_path, "init", "--quiet")
    return tmp_path


def test_a_commit_gives_its_first_twelve_digits_and_its_time(repository: Path) -> None:
    made = commit(repository)
    found = revision(repository)
    assert found
    assert str(found) == made[:12]
    assert (found.commit, found.dirty) == (made, False)
    assert found.time == git(repository, "log", "-1", "--format=%cI")


@pytest.mark.parametrize("name", ["file", "new"])
def test_a_changed_and_a_new_file_make_it_dirty(repository: Path, name: str) -> None:
    made = commit(repository)
    (repository / name).write_text("two", encoding="utf-8")
    assert str(revision(repository)) == f"{made[:12]}-dirty"


def test_nothing_of_a_repository_below_it_is_run(repository: Path) -> None:
    """It may be a notebook's, and be part of the index since a `git add .`."""
    nested, ran = repository / "work/nested", repository.parent / f"{repository.name}-ran"
    nested.mkdir(parents=True)
    git(nested, "init", "--quiet")
    (nested / "file").touch()
    commit(nested)
    made = commit(repository)
    hook = nested / "hook"
    hook.write_text(f"#!/bin/sh\ntouch {ran}\n", encoding="utf-8")
    hook.chmod(0o755)
    git(nested, "config", "core.fsmonitor", str(hook))
    assert str(revision(repository)) == made[:12]
    assert not ran.exists()
    git(repository, "status")
    assert ran.exists()  # so it would have been noticed


def test_ignored_files_do_not(repository: Path) -> None:
    (repository / ".gitignore").write_text("ignored\n", encoding="utf-8")
    made = commit(repository)
    (repository / "ignored").touch()
    assert str(revision(repository)) == made[:12]


@pytest.mark.parametrize(
    ("remote", "source"),
    [
        ("https://someone:a-token@git.example.com/lab.git", "https://git.example.com/lab.git"),
        ("https://someone:p@ss@git.example.com/lab@1.git", "https://git.example.com/lab@1.git"),
        ("git@git.example.com:lab.git", "git@git.example.com:lab.git"),
    ],
)
def test_where_a_repository_comes_from_is_told_without_credentials(repository: Path, remote: str, source: str) -> None:
    commit(repository)
    git(repository, "remote", "add", "origin", remote)
    found = revision(repository)
    assert found
    assert found.source == source


def test_there_is_none_before_the_first_commit_outside_of_a_repository_and_without_git(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert revision(repository) is None
    assert revision(tmp_path_factory.mktemp("nowhere")) is None
    monkeypatch.setenv("PATH", "/nonexistent")
    assert revision(repository) is None
