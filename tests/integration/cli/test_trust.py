"""Trust: the command `devai` asks before the first use of a project on this machine, because a project is code."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from subprocess import CompletedProcess

import pexpect
import pytest
from harness.cli import inv
from harness.project import fresh

from devai_tasks.config.project import Project
from devai_tasks.engine.docker import Docker
from devai_tasks.system.errors import DevaiError
from devai_tasks.targets.terraform import client
from devai_tasks.workspace import trust

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture(autouse=True)
def untrusted(clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 - for its effect
    """A machine without trusted projects."""
    monkeypatch.delenv("DEVAI_TRUST")


@pytest.mark.parametrize(
    "arguments", [["config.show"], ["up"], ["doctor"], ["--dry", "plan"], ["config.schema"], ["tf.fmt"]]
)
def test_untrusted_project_is_refused_without_a_terminal(project: Project, devai: Run, arguments: list[str]) -> None:
    (project.conf / "common/ports.yaml").write_text("must not be read: {\n", encoding="utf-8")
    before = sorted(project.root.rglob("*"))
    result = devai(*arguments)
    assert result.returncode == 2
    assert f"{project.root} is a project that devai has not used on this machine" in result.stderr
    assert (
        f"run `devai trust` in {project.root} to trust the project from now on, or set DEVAI_TRUST=1 for this run"
        in result.stderr
    )
    assert result.stdout == ""
    assert sorted(project.root.rglob("*")) == before


def test_trust_is_recorded_in_a_private_file(project: Project, devai: Run) -> None:
    assert devai("trust").returncode == 0
    assert devai("config.show", "--key=ports.lab").stdout == "8888\n"
    file = Path(os.environ["XDG_STATE_HOME"], "devai/trusted.json")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert trust.trusted() == [str(project.root.resolve())]


def test_variable_allows_one_run_and_records_nothing(devai: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVAI_TRUST", "1")
    assert devai("config.show").returncode == 0
    monkeypatch.setenv("DEVAI_TRUST", "")
    assert devai("config.show").returncode == 2


def test_project_of_devai_new_is_trusted(tmp_path: Path, devai: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    created = tmp_path / "created"
    monkeypatch.chdir(tmp_path)
    assert devai("new", str(created)).returncode == 0
    monkeypatch.chdir(created / "conf")
    assert devai("config.show").returncode == 0


def test_link_to_a_trusted_project_is_trusted_and_a_copy_is_not(
    project: Project, tmp_path: Path, devai: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert devai("trust").returncode == 0
    (tmp_path / "link").symlink_to(project.root)
    monkeypatch.chdir(tmp_path / "link")
    assert devai("config.show").returncode == 0
    monkeypatch.chdir(fresh(tmp_path / "copy").root)
    assert devai("config.show").returncode == 2


# Code that a notebook can write to ~/work. Running the code creates the file `trace`.
PLANTED = "import pathlib\npathlib.Path({trace!r}).touch()\n"


@pytest.fixture
def trace(project: Project, tmp_path: Path) -> Path:
    """The trace file of code in the work folder, which has every name that Python, Invoke or the tasks may import."""
    trace = tmp_path / "trace"
    for name in ("tasks", "invoke", "pip", "devai_tasks/__init__", "devai_tasks/system/__init__"):
        file = project.root / f"work/{name}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(PLANTED.format(trace=str(trace)), encoding="utf-8")
    (project.root / "work/conf").mkdir()
    (project.root / "work/.devai").mkdir()
    return trace


@pytest.mark.parametrize("arguments", [["config.show", "--key=ports.lab"], ["--dry", "up"], ["--list"]])
def test_devai_in_the_work_folder_runs_no_code_of_notebooks(
    project: Project, trace: Path, arguments: list[str]
) -> None:
    folder = project.root / "work"
    result = inv(*arguments, cwd=folder, environ={"DEVAI_TRUST": "1"}, program="devai")
    assert result.returncode == 0, result.stderr
    if "config.show" in arguments:
        assert result.stdout == "8888\n"
    assert not trace.exists()
    assert inv("--list", cwd=folder).returncode != 0
    assert trace.exists()  # plain `inv` runs it


def test_python_packages_are_not_imported_from_the_current_folder(
    project: Project, trace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Covers Terraform from a Python package, and the recorder of commands under `--dry`."""
    monkeypatch.chdir(project.root / "work")
    monkeypatch.setattr(client, "find_spec", lambda _: True)
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with suppress(DevaiError):
        client.find("terraform")  # queries the version
    with suppress(DevaiError):
        Docker(dry=True).pull("debian")
    assert not trace.exists()


def test_project_that_a_notebook_creates_in_the_work_folder_is_refused(
    project: Project, trace: Path, devai: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert devai("trust").returncode == 0
    copied = fresh(project.root / "work/fake").root
    for part in ("conf", "deploy"):
        shutil.copytree(copied / part, project.root / "work" / part, dirs_exist_ok=True)
    monkeypatch.chdir(project.root / "work")
    for arguments in (["status"], ["config.show"], ["up"]):
        refused = devai(*arguments)
        assert refused.returncode == 2
        assert f"{project.root}/work is a project that devai has not used on this machine" in refused.stderr
        assert refused.stdout == ""
    assert not trace.exists()


@pytest.mark.parametrize("arguments", [["--help"], ["--list"], ["--help", "up"], ["--version"]])
def test_help_list_and_version_need_no_trust(devai: Run, arguments: list[str]) -> None:
    assert devai(*arguments).returncode == 0


def test_inv_runs_the_tasks_of_the_project_without_a_question(cli: Run) -> None:
    assert cli("inv", "config.show", "--key=ports.lab").stdout == "8888\n"


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("", 2), ("n", 2)])
def test_question_at_a_terminal_is_asked_once(project: Project, answer: str, code: int) -> None:
    program = str(Path(sys.executable).with_name("devai"))

    def run() -> tuple[str | None, int | None]:
        child = pexpect.spawn(program, ["config.show", "--key=ports.lab"], cwd=str(project.root), encoding="utf-8")
        try:
            if child.expect([r"trust this project from now on\? \[y/N\] ", pexpect.EOF], timeout=60) == 0:
                child.sendline(answer)
                child.expect(pexpect.EOF, timeout=60)
        finally:
            child.close()
        return child.before, child.exitstatus

    assert run()[1] == code
    if code == 0:
        assert run() == ("8888\r\n", 0)
