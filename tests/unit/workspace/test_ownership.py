"""Project IDs, which mark the owner of a stack."""

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


def test_id_is_written_once_to_the_file_that_clones_share(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    before = (project.root / ownership.FILE).read_text(encoding="utf-8")
    identity = ownership.ensure_id(project, settings(project))
    assert settings(project).project.id == identity
    assert "wrote project.id to conf/common/project.yaml; commit the file" in capsys.readouterr().err
    after = (project.root / ownership.FILE).read_text(encoding="utf-8")
    assert after == f"{before}  id: {identity}\n"
    assert ownership.ensure_id(project, settings(project)) == identity
    assert (project.root / ownership.FILE).read_text(encoding="utf-8") == after


def test_error_on_writing_the_id_names_the_line_to_add(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is that of a read-only file system, because root ignores file modes."""

    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(writer, "replace_file", refuse)
    with pytest.raises(DevaiError, match=r"(?s)Read-only file system.*`id: [a-z0-9]{12}` below `project:`"):
        ownership.ensure_id(project, settings(project))


@pytest.mark.parametrize("value", ["short", "UPPERCASE0123", "0123456789ab", "a" * 17])
def test_invalid_id_is_refused(devai: Run, project: Project, value: str) -> None:
    ownership.write(project, id=value)
    result = devai("config.show", "--key=project.id")
    assert result.returncode == 2
    assert "12 to 16 lower-case letters and digits, the first a letter" in result.stderr


@pytest.mark.parametrize("location", ["--set=project.id=abcdefghijkl", "conf/personal.yaml"])
def test_id_in_an_override_or_personal_yaml_is_refused(devai: Run, project: Project, location: str) -> None:
    flags = [location] if location.startswith("--") else []
    if not flags:
        (project.root / location).write_text("project: {id: abcdefghijkl}\n", encoding="utf-8")
    result = devai("config.show", *flags)
    assert result.returncode == 2
    assert "project.id" in result.stderr
