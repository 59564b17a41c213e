"""New project: complete, usable, and without private files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from harness.settings import Sources

from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.system.errors import UsageError
from devai_tasks.workspace import scaffold


def test_new_project_has_every_part(shipped: Project) -> None:
    parts = {Path(part).parts[0] for part in (*scaffold.PARTS, *scaffold.LINKS)}
    assert {path.name for path in shipped.root.iterdir()} == parts
    assert [path.name for path in (shipped.root / "work").iterdir()] == ["welcome.ipynb"]
    for file in ("conf/common/ports.yaml", "deploy/compose/docker-compose.yml", "deploy/image/requirements/full.lock"):
        assert (shipped.root / file).is_file()
    assert Project.find(shipped.root).root == shipped.root.resolve()


def test_new_project_has_no_private_or_generated_file(shipped: Project) -> None:
    files = {path.relative_to(shipped.root).as_posix() for path in shipped.root.rglob("*")}
    assert not files & set(scaffold.PRIVATE)
    assert not [file for file in files if "__pycache__" in file or file.startswith(("generated", ".devai"))]


def test_private_and_generated_files_are_not_copied(shipped: Project, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    scaffold.copy(shipped.root, source)
    for name in scaffold.PRIVATE:
        (source / name).write_text("canary", encoding="utf-8")
    (source / "conf/__pycache__").mkdir()
    (source / ".devai").mkdir()
    scaffold.copy(source, target)
    assert {path.relative_to(target) for path in target.rglob("*")} == {
        path.relative_to(shipped.root) for path in shipped.root.rglob("*")
    }


def test_git_ignores_every_private_file_of_a_new_project(shipped: Project) -> None:
    ignored = (shipped.root / ".gitignore").read_text(encoding="utf-8").splitlines()
    encrypted = {"conf/secrets.sops.yaml"}  # may be committed, and belongs to one project only
    assert {f"/{name}" for name in scaffold.PRIVATE if name not in encrypted} <= set(ignored)
    assert {"/generated/", "/.devai/"} <= set(ignored)


def test_empty_folder_becomes_a_project(tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    scaffold.write(tmp_path / "lab")
    assert (tmp_path / "lab/tasks.py").is_file()


def test_existing_file_or_filled_folder_is_refused_and_unchanged(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine", encoding="utf-8")
    for target in (tmp_path, file):
        with pytest.raises(UsageError, match="exists and is not empty; nothing was written"):
            scaffold.write(target)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert file.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("lab", "lab"),
        ("My Lab_2", "my-lab-2"),
        ("2nd", "lab-2nd"),
        ("é", "lab"),
        ("a" * 29 + " bc", "a" * 29),
        ("y", "y"),
    ],
)
def test_project_is_named_after_its_folder_and_has_a_unique_id(tmp_path: Path, folder: str, name: str) -> None:
    scaffold.write(tmp_path / folder)
    assert scaffold.identify(tmp_path / folder) == name
    project = Sources(Project(tmp_path / folder), {}).configuration(Stack("dev", "local")).settings.project
    assert project.name == name
    assert len(project.id) == 12
    scaffold.identify(tmp_path / folder)
    assert (
        Sources(Project(tmp_path / folder), {}).configuration(Stack("dev", "local")).settings.project.id != project.id
    )


def test_link_or_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other user could change the project later, and a project is code."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    with pytest.raises(UsageError, match="is a link, or another user's folder; nothing was written"):
        scaffold.write(tmp_path / "link")
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(UsageError, match="is a link, or another user's folder"):
        scaffold.write(tmp_path / "folder")
    assert list((tmp_path / "folder").iterdir()) == []
