"""Migration of a project of version 0.1, with `config.migrate`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest
from harness.project import separate

from devai_tasks.config import document
from devai_tasks.config.project import Project
from devai_tasks.stack import configuration_migration
from devai_tasks.system.errors import ConfigError

DIGEST = f"sha256:{'a' * 64}"


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def old(project: Project) -> Project:
    """A project without a format, as version 0.1 created it."""
    file = project.conf / "common/project.yaml"
    file.write_text(file.read_text().replace("  # Written by `inv config.migrate`.\n  format: 2\n", ""))
    return project


def common(project: Project, section: str) -> object:
    name = f"conf/common/{section}.yaml"
    return document.read(project.root / name, name).tree[section]


def test_project_of_this_version_needs_no_migration(project: Project) -> None:
    assert configuration_migration.plan(project) == configuration_migration.Migration(project, 2)


def test_undeclared_variables_are_declared_and_secrets_are_left_to_the_user(
    old: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDITOR_NAME", "vi")
    (old.conf / "common/env.yaml").write_text('env: {A: "${oc.env:EDITOR_NAME}", B: "${oc.env:MY_TOKEN}"}\n')
    migration = configuration_migration.plan(old)
    assert [(each.location, "looks like a secret" in each.allowed) for each in migration.problems] == [
        ("conf/common/env.yaml:1:38", True)
    ]
    migration.write()
    assert common(old, "variables") == ["EDITOR_NAME"]
    assert configuration_migration.plan(old).edits == ()


def test_locked_digests_move_to_the_pins_and_later_pins_stay(old: Project) -> None:
    lock = old.root / "deploy/image/bases.lock"
    lock.write_text(json.dumps({"debian:13": DIGEST, "ubuntu:26.04": DIGEST}))
    later = f"ubuntu:26.04@sha256:{'b' * 64}"
    (old.conf / "common/pins.yaml").write_text(f'pins: ["{later}"]\n')
    configuration_migration.plan(old).write()
    assert common(old, "pins") == [f"debian:13@{DIGEST}", later]
    assert not lock.exists()
    assert "debian" in (old.root / ".devai/format-1/deploy/image/bases.lock").read_text()


def test_digests_of_a_clone_that_has_the_current_format_move_too(project: Project) -> None:
    lock = project.root / "deploy/image/bases.lock"
    lock.write_text(json.dumps({"debian:13": DIGEST}))
    configuration_migration.plan(project).write()
    assert common(project, "pins") == [f"debian:13@{DIGEST}"]
    assert not lock.exists()


def test_unreadable_lock_changes_nothing(old: Project) -> None:
    (old.root / "deploy/image/bases.lock").write_text("{")
    with pytest.raises(ConfigError, match="not valid JSON"):
        configuration_migration.plan(old)


def test_files_of_the_package_are_replaced_and_their_previous_content_is_kept(old: Project) -> None:
    changed, missing = old.root / "deploy/kubernetes/base/devai.yaml", old.root / "deploy/image/entrypoint.sh"
    shipped = changed.read_text()
    separate(changed).write_text("# of version 0.1\n")
    missing.unlink()
    overlay = old.root / "deploy/kubernetes/overlays/ours/kustomization.yaml"
    overlay.parent.mkdir()
    overlay.write_text("resources: []\n")
    migration = configuration_migration.plan(old)
    assert migration.package_files == ("deploy/image/entrypoint.sh", "deploy/kubernetes/base/devai.yaml")
    migration.write()
    assert changed.read_text() == shipped
    assert missing.stat().st_mode & 0o100
    assert overlay.exists()
    assert (old.root / ".devai/format-1/deploy/kubernetes/base/devai.yaml").read_text() == "# of version 0.1\n"


def test_interrupted_migration_keeps_the_first_previous_content(old: Project) -> None:
    changed = old.root / "tasks.py"
    changed.write_text("# of version 0.1\n")
    migration = configuration_migration.plan(old)
    migration.write()
    file = old.conf / "common/project.yaml"
    file.write_text(file.read_text().replace("  format: 2\n", ""))
    changed.write_text("# half written\n")
    configuration_migration.plan(old).write()
    assert (old.root / ".devai/format-1/tasks.py").read_text() == "# of version 0.1\n"
    assert common(old, "project") == {"name": "devai", "format": "2"}


def test_clone_of_the_repository_keeps_its_files(old: Project) -> None:
    (old.root / "devai_tasks").mkdir()
    (old.root / "tasks.py").write_text("# of a branch\n")
    assert configuration_migration.plan(old).package_files == ()


def test_task_shows_the_changes_and_changes_nothing_without_an_answer(old: Project, devai: Run) -> None:
    (old.root / "tasks.py").write_text("# of version 0.1\n")
    assert "the project has the format of an older version" in devai("config.check").stdout
    refused = devai("config.migrate")
    assert (refused.returncode, refused.stderr) == (
        2, "no terminal to ask; nothing was changed; pass --yes [DEVAI-STACK-004]\n",
    )  # fmt: skip
    assert refused.stdout.startswith("replace tasks.py\n")
    assert "+  format: 2" in refused.stdout
    assert (old.root / "tasks.py").read_text() == "# of version 0.1\n"
    migrated = devai("config.migrate", "--yes")
    assert migrated.stderr == "migrated; commit the changes\nthe previous files are in .devai/format-1\n"
    assert devai("config.check").returncode == 0
    assert devai("config.migrate").stderr == "the project has the current format\n"


def test_project_of_a_newer_version_is_refused(project: Project, devai: Run) -> None:
    file = project.conf / "common/project.yaml"
    file.write_text(file.read_text().replace("format: 2", "format: 3"))
    assert "a newer version of devai-tasks wrote the project; upgrade the package" in devai("config.show").stderr
