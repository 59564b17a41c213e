"""Revision of a project's files."""

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


def test_revision_has_the_commit_and_its_time(repository: Path) -> None:
    commit_id = commit(repository)
    result = revision(repository)
    assert result
    assert str(result) == commit_id[:12]
    assert (result.commit, result.dirty) == (commit_id, False)
    assert result.time == git(repository, "log", "-1", "--format=%cI")


@pytest.mark.parametrize("name", ["file", "new"])
def test_changed_and_new_files_make_the_revision_dirty(repository: Path, name: str) -> None:
    commit_id = commit(repository)
    (repository / name).write_text("two", encoding="utf-8")
    assert str(revision(repository)) == f"{commit_id[:12]}-dirty"


def test_hooks_of_a_nested_repository_are_not_run(repository: Path) -> None:
    """A notebook may have created the repository, and `git add .` may have added it to the index."""
    nested, ran = repository / "work/nested", repository.parent / f"{repository.name}-ran"
    nested.mkdir(parents=True)
    git(nested, "init", "--quiet")
    (nested / "file").touch()
    commit(nested)
    commit_id = commit(repository)
    hook = nested / "hook"
    hook.write_text(f"#!/bin/sh\ntouch {ran}\n", encoding="utf-8")
    hook.chmod(0o755)
    git(nested, "config", "core.fsmonitor", str(hook))
    assert str(revision(repository)) == commit_id[:12]
    assert not ran.exists()
    git(repository, "status")
    assert ran.exists()  # the hook works


def test_ignored_files_do_not_make_the_revision_dirty(repository: Path) -> None:
    (repository / ".gitignore").write_text("ignored\n", encoding="utf-8")
    commit_id = commit(repository)
    (repository / "ignored").touch()
    assert str(revision(repository)) == commit_id[:12]


@pytest.mark.parametrize(
    ("remote", "source"),
    [
        ("https://someone:a-token@git.example.com/lab.git", "https://git.example.com/lab.git"),
        ("https://someone:p@ss@git.example.com/lab@1.git", "https://git.example.com/lab@1.git"),
        ("git@git.example.com:lab.git", "git@git.example.com:lab.git"),
    ],
)
def test_source_of_a_repository_has_no_credentials(repository: Path, remote: str, source: str) -> None:
    commit(repository)
    git(repository, "remote", "add", "origin", remote)
    result = revision(repository)
    assert result
    assert result.source == source


def test_no_revision_without_commit_repository_or_git(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert revision(repository) is None
    assert revision(tmp_path_factory.mktemp("outside")) is None
    monkeypatch.setenv("PATH", "/nonexistent")
    assert revision(repository) is None
