"""Whose stack it is: identities of projects."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest
from harness.settings import Sources

from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.config.stack import Stack
from devai_tasks.system.errors import DevaiError
from devai_tasks.workspace import ownership, writer

Run = Callable[..., subprocess.CompletedProcess[str]]


def settings(project: Project) -> Settings:
    return Sources(project, {}).configuration(Stack("dev", "local")).settings


def test_the_identity_is_written_once_into_the_file_that_clones_share(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (project.root / ownership.FILE).read_text(encoding="utf-8")
    identity = ownership.ensure_id(project, settings(project))
    assert settings(project).project.id == identity
    assert "wrote project.id to conf/common/project.yaml; commit the file" in capsys.readouterr().err
    after = (project.root / ownership.FILE).read_text(encoding="utf-8")
    assert after == f"{before}  id: {identity}\n"
    assert ownership.ensure_id(project, settings(project)) == identity
    assert (project.root / ownership.FILE).read_text(encoding="utf-8") == after


def test_an_identity_that_cannot_be_written_is_told_with_the_line_to_add(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system that can be read only; root may write to all others."""

    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(writer, "replace_file", refuse)
    with pytest.raises(DevaiError, match=r"(?s)Read-only file system.*`id: [a-z0-9]{12}` below `project:`"):
        ownership.ensure_id(project, settings(project))


@pytest.mark.parametrize("value", ["short", "UPPERCASE0123", "0123456789ab", "a" * 17])
def test_what_is_no_identity_is_refused(devai: Run, project: Project, value: str) -> None:
    ownership.write(project, id=value)
    result = devai("config.show", "--key=project.id")
    assert result.returncode == 2
    assert "12 to 16 lower-case letters and digits, the first a letter" in result.stderr


@pytest.mark.parametrize("place", ["--set=project.id=abcdefghijkl", "conf/personal.yaml"])
def test_the_identity_is_everybodys(devai: Run, project: Project, place: str) -> None:
    flags = [place] if place.startswith("--") else []
    if not flags:
        (project.root / place).write_text("project: {id: abcdefghijkl}\n", encoding="utf-8")
    result = devai("config.show", *flags)
    assert result.returncode == 2
    assert "project.id" in result.stderr
