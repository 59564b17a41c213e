"""Work folder that the lab mounts as ~/work: refused if notebooks could change what runs outside of the lab."""

from __future__ import annotations

import os
import pwd
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from harness.settings import load

from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.config.stack import Stack
from devai_tasks.stack.doctor.checks import State
from devai_tasks.stack.doctor.machine import work_folder
from devai_tasks.system.errors import UsageError
from devai_tasks.workspace import state, work_dir, work_folders

ALLOW = "storage.allow_unsafe_work_dir=true"


def settings(project: Project, *overrides: str) -> Settings:
    return load(project, Stack("dev", "local"), overrides, environ={})


def staging(project: Project, folder: str) -> Settings:
    return load(project, Stack("staging", "local"), [f"storage.work_dir={folder}"], environ={})


def engine(*mounted: Path) -> Any:
    """Return a fake engine with a container for each folder, which is mounted as ~/work."""
    rows = [{"service": "devai", "mounts": {"/home/devai/work": str(folder)}} for folder in mounted]
    return SimpleNamespace(dry=False, containers=lambda _: rows)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


def test_new_project_has_a_safe_work_folder_with_a_welcome_notebook(project: Project) -> None:
    assert (project.root / "work/welcome.ipynb").is_file()
    assert work_dir.danger(project, settings(project)) == ""
    work_dir.check(project, settings(project), engine())
    assert work_folder(project, settings(project)).state is State.OK


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (".", "the project itself"),
        ("work/..", "the project itself"),
        ("..", "a folder that contains the project"),
        ("/", "a folder that contains the project"),
        ("conf", "in conf/ of the project"),
        ("deploy/image", "in deploy/ of the project"),
        (".devai", r"in \.devai/ of the project"),
        (".git/hooks", r"in \.git/ of the project"),
        (".nox", r"in \.nox/ of the project"),
        ("tests", "in tests/ of the project"),
        ("docs/tutorials", "in docs/ of the project"),
        ("requirements.txt", r"in requirements\.txt/ of the project"),
        ("/etc", "a system folder"),
        ("/etc/cron.d", "a system folder"),
        ("/var", "a system folder"),
        ("/var/run", "a system folder"),
        ("/usr/local", "a system folder"),
        *((name, "a system folder") for name in ("/home", "/opt", "/srv", "/var/tmp")),
        ("/tmp", "a folder"),  # also a parent folder of the tests' projects
        ("/var/log", "a system folder"),
        ("/var/log/lab", "a system folder"),
        (str(Path(work_dir.__file__).parents[2]), "where the tasks are installed"),
        (sys.prefix, "where the tasks are installed"),
    ],
)
def test_unsafe_folder_is_refused_with_the_reason(project: Project, name: str, reason: str) -> None:
    with pytest.raises(UsageError, match=rf"^storage\.work_dir = {re.escape(name)}: .*{reason}") as refusal:
        work_dir.check(project, settings(project, f"storage.work_dir={name}"), engine())
    assert refusal.value.exit_code == 2
    assert "`inv config.set --set=storage.allow_unsafe_work_dir=true`" in str(refusal.value)
    assert work_folder(project, settings(project, f"storage.work_dir={name}")).state is State.FAILED


@pytest.mark.parametrize("target", [".", "..", "conf", "/etc"])
def test_link_to_an_unsafe_folder_is_unsafe(project: Project, target: str) -> None:
    (project.root / "mine").symlink_to(target)
    (project.root / "work/mine").symlink_to("../mine")
    for name in ("mine", "work/mine"):
        assert work_dir.danger(project, settings(project, f"storage.work_dir={name}"))


def test_home_and_its_hidden_folders_are_unsafe(project: Project, home: Path, tmp_path: Path) -> None:
    for folder in (home, home / ".ssh", home / ".config/autostart", tmp_path):
        assert work_dir.danger(project, settings(project, f"storage.work_dir={folder}")), folder
    for folder in (home / "notebooks", tmp_path / "data"):
        assert work_dir.danger(project, settings(project, f"storage.work_dir={folder}")) == ""


@pytest.mark.parametrize("name", ["/srv/data/notebooks", "/opt/notebooks", "/var/tmp/lab", "notebooks", "work/mine"])
def test_separate_folder_is_safe(project: Project, name: str) -> None:
    assert work_dir.danger(project, settings(project, f"storage.work_dir={name}")) == ""


def test_homes_of_other_users_and_their_parents_are_unsafe(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "homes/other"
    account = pwd.struct_passwd(("other", "x", 54321, 54321, "", str(home), "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwall", lambda: [account])
    home.mkdir(parents=True)
    for folder in (home.parent, home, home / ".ssh"):
        assert "other's home" in work_dir.danger(project, settings(project, f"storage.work_dir={folder}"))
    assert work_dir.danger(project, settings(project, f"storage.work_dir={home / 'for-all'}")) == ""


@pytest.mark.parametrize("marker", ["tasks.py", "conf/common/project.yaml", ".devai/local-dev/token", ".git/config"])
def test_other_project_is_refused_with_the_file_that_identifies_it(
    project: Project, tmp_path: Path, marker: str
) -> None:
    """Covers a project or clone, its parent, and its subfolder, which is safe only in a clone without a project."""
    code = tmp_path / "code"
    (code / "other" / marker).parent.mkdir(parents=True)
    (code / "other" / marker).touch()
    (code / "other/data").mkdir()
    reported = marker if "/" not in marker else marker.rpartition("/")[0].removesuffix("/local-dev")
    for folder in (code, code / "other"):
        refused = settings(project, f"storage.work_dir={os.path.relpath(folder, project.root)}")
        with pytest.raises(
            UsageError, match=rf"{code}/other is a project by {re.escape(reported)}, and a notebook could"
        ):
            work_dir.check(project, refused, engine())
        assert work_folder(project, refused).state is State.FAILED
        work_dir.check(project, settings(project, f"storage.work_dir={folder}", ALLOW), engine())
    danger = work_dir.danger(project, settings(project, f"storage.work_dir={code}/other/data"))
    assert danger == (
        ""
        if reported == ".git"
        else f"it is inside {code}/other, a project by {reported}, and a notebook could change what runs there"
    )


def test_git_directory_is_unsafe(project: Project, tmp_path: Path) -> None:
    (tmp_path / "clone/.git/hooks").mkdir(parents=True)
    for name in (".git", ".git/hooks"):
        assert work_dir.danger(project, settings(project, f"storage.work_dir={tmp_path / 'clone' / name}"))


def test_nested_project_is_unsafe_and_a_clone_in_the_work_folder_is_not(project: Project) -> None:
    (project.root / "other/data").mkdir(parents=True)
    (project.root / "other/tasks.py").touch()
    (project.root / "work/clone/.git").mkdir(parents=True)
    assert "is inside" in work_dir.danger(project, settings(project, "storage.work_dir=other/data"))
    assert work_dir.danger(project, settings(project)) == ""


@pytest.mark.parametrize(
    ("name", "program"),
    [
        ("tasks.py", "inv"),
        ("tasks/__init__.py", "inv"),
        ("noxfile.py", "nox"),
        ("Makefile", "make"),
        ("GNUmakefile", "make"),
        (".git/config", "git"),
        ("HEAD", "git"),
        (".envrc", "direnv"),
    ],
)
def test_files_that_programs_run_automatically_are_reported_with_a_hint(
    project: Project, name: str, program: str, capsys: pytest.CaptureFixture[str]
) -> None:
    work_dir.warn(project, settings(project))
    assert capsys.readouterr().err == ""
    file = project.root / "work" / name
    file.parent.mkdir(exist_ok=True)
    file.symlink_to("nowhere")  # a dangling link counts
    work_dir.check(project, settings(project), engine())
    work_dir.warn(project, settings(project))
    warning = " ".join(capsys.readouterr().err.split())
    assert f"which {program} would run or read there" in warning
    assert warning.endswith("run commands in the project's folder, or use `devai`, which does not run these files")
    check = work_folder(project, settings(project))
    assert (check.state, check.hint) == (State.ADVICE, work_dir.SAFELY)
    assert program in check.found


@pytest.mark.parametrize(("outer", "inner"), [("work", "work/dev"), ("work/dev", "work")])
def test_two_stacks_share_one_folder_or_use_separate_ones(project: Project, outer: str, inner: str) -> None:
    """Notebooks of the outer folder could replace the inner folder with a link before the next start."""
    work_dir.create(project, staging(project, outer))
    danger = work_dir.danger(project, settings(project, f"storage.work_dir={inner}"))
    assert "work folder of local-staging" in danger
    for folder in (outer, "notebooks"):
        assert work_dir.danger(project, settings(project, f"storage.work_dir={folder}")) == ""


def test_link_in_the_work_folder_of_another_stack_is_unsafe(project: Project, tmp_path: Path) -> None:
    """Notebooks of the other stack may have created the link."""
    work_dir.create(project, staging(project, "work"))
    (tmp_path / "other").mkdir()
    (project.root / "work/dev").symlink_to(tmp_path / "other")
    danger = work_dir.danger(project, settings(project, "storage.work_dir=work/dev"))
    assert "it is inside the work folder of local-staging" in danger


def test_work_folders_of_other_projects_are_known_until_they_are_deleted(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (project.root / "work/dev").mkdir()
    this_stack = settings(project, "storage.work_dir=work/dev")
    other_project = tmp_path / "other"
    work_folders.record(work_folders.WorkFolder(project.root / "work", other_project, "local-dev"))
    assert work_dir.danger(project, this_stack).startswith(
        f"it is inside the work folder of local-dev of {other_project}"
    )
    work_dir.create(project, this_stack)  # the entry of the stack itself is ignored
    assert {*work_dir.shared(project, this_stack)[1:]} == {project.root / "work", project.root / "work/dev"}
    (project.root / "work").rename(tmp_path / "gone")
    assert work_dir.danger(project, this_stack) == ""
    work_folders.record(work_folders.WorkFolder(tmp_path, other_project, "local-dev"))
    assert work_folders.known() == [work_folders.WorkFolder(tmp_path, other_project, "local-dev")]
    assert len([*(state.of_user() / "work-folders").iterdir()]) == 1


def test_allowed_unsafe_folder_is_accepted_and_doctor_warns(project: Project) -> None:
    allowed = settings(project, "storage.work_dir=.", ALLOW)
    work_dir.check(project, allowed, engine(project.root))
    check = work_folder(project, allowed)
    assert check.state is State.ADVICE
    assert "the project itself" in check.found


def test_project_of_version_0_1_gets_both_commands_until_one_is_run(project: Project) -> None:
    """conf/common of such a project sets `work_dir: .`, the default of version 0.1."""
    (project.root / "analysis of it.ipynb").touch()
    (project.root / "data").mkdir()
    (project.root / "data/one.ipynb").touch()
    for _ in range(2):
        with pytest.raises(UsageError) as refusal:
            work_dir.check(project, settings(project, "storage.work_dir=."), engine(project.root))
        move = (
            "mkdir -p work && mv -n -- 'analysis of it.ipynb' data work/ && inv config.set --set=storage.work_dir=work"
        )
        assert f"`{move}`" in str(refusal.value)
        assert "nothing was changed" in str(refusal.value)


def test_change_from_the_project_to_another_folder_is_refused_once(project: Project) -> None:
    with pytest.raises(UsageError, match="~/work was the project's folder, and is work/ from now on") as refusal:
        work_dir.check(project, settings(project), engine(project.root))
    keep = "`inv config.set --set=storage.work_dir=. --set=storage.allow_unsafe_work_dir=true`"
    assert keep in str(refusal.value)
    work_dir.check(project, settings(project), engine(project.root))


def test_change_is_also_refused_once_without_containers(project: Project, local_dev: Stack) -> None:
    state.remember(project, local_dev, {"storage": {"work_dir": "."}})
    with pytest.raises(UsageError, match="~/work was the project's folder"):
        work_dir.check(project, settings(project), engine())


def test_change_from_another_folder_is_accepted(project: Project, local_dev: Stack) -> None:
    state.remember(project, local_dev, {"storage": {"work_dir": "."}})
    work_dir.check(project, settings(project), engine(project.root / "work"))
    work_dir.check(project, settings(project, "storage.work_dir=elsewhere"), engine(project.root / "work"))


def test_missing_folder_in_the_project_is_created_for_the_user_of_the_lab(project: Project) -> None:
    ids = ("engine.uid=4242", "engine.gid=4243") if os.geteuid() == 0 else ()
    missing = settings(project, "storage.work_dir=one/two", *ids)
    assert work_folder(project, missing).state is State.OK
    work_dir.create(project, missing)
    for name in ("one", "one/two"):
        status = (project.root / name).stat()
        assert (status.st_uid, status.st_gid) == (missing.engine.uid, missing.engine.gid)


def test_missing_folder_outside_of_the_project_is_an_error(project: Project, tmp_path: Path) -> None:
    for folder in (tmp_path / "not mounted", project.root / "tasks.py"):
        with pytest.raises(UsageError, match=r"storage\.work_dir: no folder"):
            work_dir.create(project, settings(project, f"storage.work_dir={folder}"))
    assert not (tmp_path / "not mounted").exists()
