"""Which folder the lab may show as ~/work: one for notebooks, and none by which they change what runs outside of it."""

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
    """In place of an engine: one whose lab has these folders as ~/work."""
    rows = [{"service": "devai", "mounts": {"/home/devai/work": str(folder)}} for folder in mounted]
    return SimpleNamespace(dry=False, containers=lambda _: rows)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


def test_a_new_project_has_a_folder_for_notebooks_with_a_welcome(project: Project) -> None:
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
        ("/tmp", "a folder"),  # where tests have their projects, too
        ("/var/log", "a system folder"),
        ("/var/log/lab", "a system folder"),
        (str(Path(work_dir.__file__).parents[2]), "where the tasks are installed"),
        (sys.prefix, "where the tasks are installed"),
    ],
)
def test_a_folder_by_which_notebooks_leave_the_lab_is_refused_with_the_reason(
    project: Project, name: str, reason: str
) -> None:
    with pytest.raises(UsageError, match=rf"^storage\.work_dir = {re.escape(name)}: .*{reason}") as refused:
        work_dir.check(project, settings(project, f"storage.work_dir={name}"), engine())
    assert refused.value.exit_code == 2
    assert "`inv config.set --set=storage.allow_unsafe_work_dir=true`" in str(refused.value)
    assert work_folder(project, settings(project, f"storage.work_dir={name}")).state is State.FAILED


@pytest.mark.parametrize("target", [".", "..", "conf", "/etc"])
def test_a_link_does_not_hide_where_it_leads(project: Project, target: str) -> None:
    (project.root / "mine").symlink_to(target)
    (project.root / "work/mine").symlink_to("../mine")
    for name in ("mine", "work/mine"):
        assert work_dir.danger(project, settings(project, f"storage.work_dir={name}"))


def test_a_home_and_its_hidden_folders_are_refused_and_others_are_not(
    project: Project, home: Path, tmp_path: Path
) -> None:
    for folder in (home, home / ".ssh", home / ".config/autostart", tmp_path):
        assert work_dir.danger(project, settings(project, f"storage.work_dir={folder}")), folder
    for folder in (home / "notebooks", tmp_path / "data"):
        assert work_dir.danger(project, settings(project, f"storage.work_dir={folder}")) == ""


@pytest.mark.parametrize("name", ["/srv/data/notebooks", "/opt/notebooks", "/var/tmp/lab", "notebooks", "work/mine"])
def test_a_folder_of_ones_own_is_taken(project: Project, name: str) -> None:
    assert work_dir.danger(project, settings(project, f"storage.work_dir={name}")) == ""


def test_so_are_homes_of_others_and_what_is_above_them(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "homes/other"
    account = pwd.struct_passwd(("other", "x", 54321, 54321, "", str(other), "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwall", lambda: [account])
    other.mkdir(parents=True)
    for folder in (other.parent, other, other / ".ssh"):
        assert "other's home" in work_dir.danger(project, settings(project, f"storage.work_dir={folder}"))
    assert work_dir.danger(project, settings(project, f"storage.work_dir={other / 'for-all'}")) == ""


@pytest.mark.parametrize("marker", ["tasks.py", "conf/common/project.yaml", ".devai/local-dev/token", ".git/config"])
def test_a_project_of_other_code_is_refused_with_what_it_is_known_by(
    project: Project, tmp_path: Path, marker: str
) -> None:
    """Another project, a clone, a folder of them; and a folder in a project, but not in a work tree of git alone."""
    code = tmp_path / "code"
    (code / "other" / marker).parent.mkdir(parents=True)
    (code / "other" / marker).touch()
    (code / "other/data").mkdir()
    known = marker if "/" not in marker else marker.rpartition("/")[0].removesuffix("/local-dev")
    for folder in (code, code / "other"):
        own = settings(project, f"storage.work_dir={os.path.relpath(folder, project.root)}")
        with pytest.raises(UsageError, match=rf"{code}/other is a project by {re.escape(known)}, and a notebook could"):
            work_dir.check(project, own, engine())
        assert work_folder(project, own).state is State.FAILED
        work_dir.check(project, settings(project, f"storage.work_dir={folder}", ALLOW), engine())
    below = work_dir.danger(project, settings(project, f"storage.work_dir={code}/other/data"))
    assert below == (
        "" if known == ".git" else f"it is inside {code}/other, a project by {known}, and a notebook could change what "
        "runs there"
    )  # fmt: skip


def test_what_git_keeps_is_no_folder_for_notebooks(project: Project, tmp_path: Path) -> None:
    (tmp_path / "clone/.git/hooks").mkdir(parents=True)
    for name in (".git", ".git/hooks"):
        assert work_dir.danger(project, settings(project, f"storage.work_dir={tmp_path / 'clone' / name}"))


def test_a_project_within_the_project_is_refused_from_above_and_clones_of_notebooks_are_not(project: Project) -> None:
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
def test_what_a_program_of_this_machine_would_run_is_told_with_how_it_does_not(
    project: Project, name: str, program: str, capsys: pytest.CaptureFixture[str]
) -> None:
    work_dir.warn(project, settings(project))
    assert capsys.readouterr().err == ""
    file = project.root / "work" / name
    file.parent.mkdir(exist_ok=True)
    file.symlink_to("nowhere")  # yet
    work_dir.check(project, settings(project), engine())
    work_dir.warn(project, settings(project))
    said = " ".join(capsys.readouterr().err.split())
    assert f"which {program} would run or read there" in said
    assert said.endswith("run commands in the project's folder, or use `devai`, which does not run these files")
    found = work_folder(project, settings(project))
    assert (found.state, found.hint) == (State.ADVICE, work_dir.SAFELY)
    assert program in found.found


@pytest.mark.parametrize(("outer", "inner"), [("work", "work/dev"), ("work/dev", "work")])
def test_two_stacks_have_one_folder_or_two_that_lie_apart(project: Project, outer: str, inner: str) -> None:
    """Notebooks of the outer one could put a link in the place of the inner one, for the next start."""
    work_dir.create(project, staging(project, outer))
    danger = work_dir.danger(project, settings(project, f"storage.work_dir={inner}"))
    assert "work folder of local-staging" in danger
    for apart in (outer, "notebooks"):
        assert work_dir.danger(project, settings(project, f"storage.work_dir={apart}")) == ""


def test_a_link_in_the_work_folder_of_another_stack_is_no_folder(project: Project, tmp_path: Path) -> None:
    """That one's notebooks may have made it."""
    work_dir.create(project, staging(project, "work"))
    (tmp_path / "other").mkdir()
    (project.root / "work/dev").symlink_to(tmp_path / "other")
    danger = work_dir.danger(project, settings(project, "storage.work_dir=work/dev"))
    assert "it is inside the work folder of local-staging" in danger


def test_work_folders_of_other_projects_are_known_until_they_are_gone(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (project.root / "work/dev").mkdir()
    mine = settings(project, "storage.work_dir=work/dev")
    other = tmp_path / "other"
    work_folders.record(work_folders.WorkFolder(project.root / "work", other, "local-dev"))
    assert work_dir.danger(project, mine).startswith(f"it is inside the work folder of local-dev of {other}")
    work_dir.create(project, mine)  # the stack's own is no danger
    assert {*work_dir.shared(project, mine)[1:]} == {project.root / "work", project.root / "work/dev"}
    (project.root / "work").rename(tmp_path / "gone")
    assert work_dir.danger(project, mine) == ""
    work_folders.record(work_folders.WorkFolder(tmp_path, other, "local-dev"))
    assert work_folders.known() == [work_folders.WorkFolder(tmp_path, other, "local-dev")]
    assert len([*(state.of_user() / "work-folders").iterdir()]) == 1


def test_what_is_meant_is_allowed_and_doctor_keeps_warning(project: Project) -> None:
    meant = settings(project, "storage.work_dir=.", ALLOW)
    work_dir.check(project, meant, engine(project.root))
    found = work_folder(project, meant)
    assert found.state is State.ADVICE
    assert "the project itself" in found.found


def test_a_project_of_version_0_1_gets_both_commands_until_one_is_chosen(project: Project) -> None:
    """Its own conf/common says `work_dir: .`, as it was written then."""
    (project.root / "analysis of it.ipynb").touch()
    (project.root / "data").mkdir()
    (project.root / "data/one.ipynb").touch()
    for _ in range(2):
        with pytest.raises(UsageError) as refused:
            work_dir.check(project, settings(project, "storage.work_dir=."), engine(project.root))
        move = (
            "mkdir -p work && mv -n -- 'analysis of it.ipynb' data work/ && inv config.set --set=storage.work_dir=work"
        )
        assert f"`{move}`" in str(refused.value)
        assert "nothing was changed" in str(refused.value)


def test_a_lab_that_showed_the_project_is_told_once_before_it_shows_another_folder(project: Project) -> None:
    with pytest.raises(UsageError, match="~/work was the project's folder, and is work/ from now on") as told:
        work_dir.check(project, settings(project), engine(project.root))
    keep = "`inv config.set --set=storage.work_dir=. --set=storage.allow_unsafe_work_dir=true`"
    assert keep in str(told.value)
    work_dir.check(project, settings(project), engine(project.root))


def test_so_is_one_whose_containers_are_gone(project: Project, local_dev: Stack) -> None:
    state.remember(project, local_dev, {"storage": {"work_dir": "."}})
    with pytest.raises(UsageError, match="~/work was the project's folder"):
        work_dir.check(project, settings(project), engine())


def test_a_lab_that_showed_another_folder_hears_nothing(project: Project, local_dev: Stack) -> None:
    state.remember(project, local_dev, {"storage": {"work_dir": "."}})
    work_dir.check(project, settings(project), engine(project.root / "work"))
    work_dir.check(project, settings(project, "storage.work_dir=elsewhere"), engine(project.root / "work"))


def test_a_missing_folder_of_the_project_is_made_for_the_labs_user(project: Project) -> None:
    ids = ("engine.uid=4242", "engine.gid=4243") if os.geteuid() == 0 else ()
    own = settings(project, "storage.work_dir=one/two", *ids)
    assert work_folder(project, own).state is State.OK
    work_dir.create(project, own)
    for name in ("one", "one/two"):
        found = (project.root / name).stat()
        assert (found.st_uid, found.st_gid) == (own.engine.uid, own.engine.gid)


def test_a_missing_folder_elsewhere_is_the_users_to_make(project: Project, tmp_path: Path) -> None:
    for folder in (tmp_path / "not mounted", project.root / "tasks.py"):
        with pytest.raises(UsageError, match=r"storage\.work_dir: no folder"):
            work_dir.create(project, settings(project, f"storage.work_dir={folder}"))
    assert not (tmp_path / "not mounted").exists()
