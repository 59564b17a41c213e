"""Terraform's working directory, without Terraform."""

from __future__ import annotations

import json
import threading

import pytest
from harness.settings import load

from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.system.errors import DevaiError
from devai_tasks.targets.terraform import workdir

CLUSTER = ("aws_eks_cluster", "this")


def test_protection_is_disabled_in_a_copy_with_the_same_state(project: Project) -> None:
    """All other values are those of the protected stack, so that only the protection changes."""
    settings = load(project, Stack("dev", "aws"), environ={})
    directory = workdir.of_project(project, settings)
    before = {file: file.read_bytes() for file in (project.root / "deploy").rglob("*") if file.is_file()}

    unprotected = workdir.unprotected(project, settings, directory, {CLUSTER: {"deletion_protection": False}})

    assert (unprotected.backend, unprotected.expected) == (directory.backend, directory.expected)
    overrides = {
        file.relative_to(unprotected.root.parent).as_posix(): file.read_text(encoding="utf-8").split()
        for file in unprotected.root.parent.rglob("*_override.tf")
    }
    block = 'resource "aws_eks_cluster" "this" { deletion_protection = false }'
    assert overrides == {"modules/kubernetes/aws/main_destroyable_override.tf": block.split()}
    values, original = (json.loads(file.read_text(encoding="utf-8")) for file in (unprotected.values, directory.values))
    assert values == {**original, "protected": True}
    assert original["protected"] is False
    assert before == {file: file.read_bytes() for file in (project.root / "deploy").rglob("*") if file.is_file()}


def test_offline_state_is_read_after_it_is_completely_written(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load(project, Stack("dev", "aws"), environ={})
    assert workdir.offline_state(project, settings) == {}
    file = project.state(settings.stack) / "offline/terraform.tfstate"
    file.parent.mkdir(parents=True)
    file.touch()
    threading.Timer(0.3, file.write_text, ['{"serial": 2}']).start()
    assert workdir.offline_state(project, settings) == {"serial": 2}
    file.write_text("{")
    monkeypatch.setattr(workdir, "_READS", 1)
    with pytest.raises(DevaiError, match=r"terraform.tfstate is not a Terraform state; delete the file"):
        workdir.offline_state(project, settings)
