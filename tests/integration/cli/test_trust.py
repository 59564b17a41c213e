"""The command `devai` asks before it uses a project that this machine has not seen: a project is code."""

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
def unseen(clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 - for its effect
    """A machine that has not seen any project."""
    monkeypatch.delenv("DEVAI_TRUST")


@pytest.mark.parametrize(
    "words", [["config.show"], ["up"], ["doctor"], ["--dry", "plan"], ["config.schema"], ["tf.fmt"]]
)
def test_a_project_that_was_not_seen_is_not_used_without_a_terminal(
    project: Project, devai: Run, words: list[str]
) -> None:
    (project.conf / "common/ports.yaml").write_text("not even read: {\n", encoding="utf-8")
    before = sorted(project.root.rglob("*"))
    result = devai(*words)
    assert result.returncode == 2
    assert f"{project.root} is a project that devai has not used on this machine" in result.stderr
    assert (
        f"run `devai trust` in {project.root} to trust the project from now on, or set DEVAI_TRUST=1 for this run"
        in result.stderr
    )
    assert result.stdout == ""
    assert sorted(project.root.rglob("*")) == before


def test_trust_is_given_once_and_only_its_owner_reads_the_list(project: Project, devai: Run) -> None:
    assert devai("trust").returncode == 0
    assert devai("config.show", "--key=ports.lab").stdout == "8888\n"
    file = Path(os.environ["XDG_STATE_HOME"], "devai/trusted.json")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert trust.trusted() == [str(project.root.resolve())]


def test_one_run_is_allowed_by_a_variable_and_remembers_nothing(devai: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVAI_TRUST", "1")
    assert devai("config.show").returncode == 0
    monkeypatch.setenv("DEVAI_TRUST", "")
    assert devai("config.show").returncode == 2


def test_a_project_that_was_made_here_is_trusted(tmp_path: Path, devai: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tmp_path / "made"
    monkeypatch.chdir(tmp_path)
    assert devai("new", str(made)).returncode == 0
    monkeypatch.chdir(made / "conf")
    assert devai("config.show").returncode == 0


def test_another_folder_is_another_project_and_a_link_to_a_trusted_one_is_not(
    project: Project, tmp_path: Path, devai: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert devai("trust").returncode == 0
    (tmp_path / "link").symlink_to(project.root)
    monkeypatch.chdir(tmp_path / "link")
    assert devai("config.show").returncode == 0
    monkeypatch.chdir(fresh(tmp_path / "copy").root)
    assert devai("config.show").returncode == 2


# What a notebook can write into ~/work, and leaves a trace where it is run.
PLANTED = "import pathlib\npathlib.Path({trace!r}).touch()\n"


@pytest.fixture
def planted(project: Project, tmp_path: Path) -> Path:
    """What code in the work folder leaves where it is run: below every name that Python, Invoke or the tasks load."""
    trace = tmp_path / "trace"
    for name in ("tasks", "invoke", "pip", "devai_tasks/__init__", "devai_tasks/system/__init__"):
        file = project.root / f"work/{name}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(PLANTED.format(trace=str(trace)), encoding="utf-8")
    (project.root / "work/conf").mkdir()
    (project.root / "work/.devai").mkdir()
    return trace


@pytest.mark.parametrize("words", [["config.show", "--key=ports.lab"], ["--dry", "up"], ["--list"]])
def test_in_the_work_folder_devai_uses_the_project_and_runs_nothing_of_a_notebooks(
    project: Project, planted: Path, words: list[str]
) -> None:
    folder = project.root / "work"
    ran = inv(*words, cwd=folder, environ={"DEVAI_TRUST": "1"}, program="devai")
    assert ran.returncode == 0, ran.stderr
    if "config.show" in words:
        assert ran.stdout == "8888\n"
    assert not planted.exists()
    assert inv("--list", cwd=folder).returncode != 0
    assert planted.exists()  # plain `inv` runs it


def test_a_program_of_ours_is_found_where_it_is_installed_and_not_where_devai_is_called(
    project: Project, planted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Terraform is that comes as a Python package, and as `--dry` records what would run."""
    monkeypatch.chdir(project.root / "work")
    monkeypatch.setattr(client, "find_spec", lambda _: True)
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with suppress(DevaiError):
        client.find("terraform")  # asks for its version
    with suppress(DevaiError):
        Docker(dry=True).pull("debian")
    assert not planted.exists()


def test_a_project_that_a_notebook_makes_in_the_work_folder_is_not_used_without_a_question(
    project: Project, planted: Path, devai: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert devai("trust").returncode == 0
    made = fresh(project.root / "work/fake").root
    for part in ("conf", "deploy"):
        shutil.copytree(made / part, project.root / "work" / part, dirs_exist_ok=True)
    monkeypatch.chdir(project.root / "work")
    for words in (["status"], ["config.show"], ["up"]):
        asked = devai(*words)
        assert asked.returncode == 2
        assert f"{project.root}/work is a project that devai has not used on this machine" in asked.stderr
        assert asked.stdout == ""
    assert not planted.exists()


@pytest.mark.parametrize("words", [["--help"], ["--list"], ["--help", "up"], ["--version"]])
def test_what_uses_no_project_needs_no_trust(devai: Run, words: list[str]) -> None:
    assert devai(*words).returncode == 0


def test_plain_inv_runs_the_projects_own_tasks_and_does_not_ask(cli: Run) -> None:
    assert cli("inv", "config.show", "--key=ports.lab").stdout == "8888\n"


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("", 2), ("n", 2)])
def test_at_a_terminal_the_question_is_asked_once(project: Project, answer: str, code: int) -> None:
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
