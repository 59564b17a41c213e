"""Ownership of a stack's namespace: clones of the project may change the stack, other projects may not."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from harness.cli import inv
from harness.kubernetes.api import Kubernetes
from harness.project import fresh

from devai_tasks.config.project import Project
from devai_tasks.targets.kubernetes.rendering import PROJECT_LABEL
from devai_tasks.workspace import ownership, scaffold

Run = Callable[..., subprocess.CompletedProcess[str]]


@dataclass
class SharedName:
    """A name that several projects use for their stack in one cluster."""

    server: Kubernetes
    name: str

    def of(self, project: Project) -> Run:
        """Return a function that runs tasks of a project."""

        def run(*arguments: str) -> subprocess.CompletedProcess[str]:
            settings = (f"--set=project.name={self.name}", f"--set=kubernetes.context={self.server.context}")
            return inv(*arguments, *settings, cwd=project.root, environ={"KUBECONFIG": str(self.server.kubeconfig)})

        return run

    def live(self, *options: str) -> str:
        """Return kubectl's output for the stack's namespace and secret."""
        names = [f"namespace/{self.name}-local-dev", "secret/devai"]
        result = self.server.kubectl("get", *names, f"--namespace={self.name}-local-dev", *options)
        assert result.returncode == 0, result.stderr
        return result.stdout

    @property
    def mark(self) -> str:
        """The project ID that the namespace is marked with; empty without a mark."""
        escaped = PROJECT_LABEL.replace(".", r"\.")
        return self.live(f"--output=jsonpath={{.items[0].metadata.labels.{escaped}}}")


@pytest.fixture
def shared(api_server: Kubernetes) -> Iterator[SharedName]:
    """A unique name; its namespace is deleted afterwards."""
    unique = SharedName(api_server, f"own-{uuid.uuid4().hex[:8]}")
    yield unique
    api_server.kubectl("delete", "namespace", f"{unique.name}-local-dev", "--wait=false", "--ignore-not-found")


def test_another_project_is_refused_and_a_clone_is_allowed(
    shared: SharedName, project: Project, tmp_path: Path
) -> None:
    first = shared.of(project)
    created = first("k8s.secrets", "--yes")
    assert created.returncode == 0, created.stderr
    assert f"wrote project.id to {ownership.FILE}; commit the file" in created.stderr
    before = shared.live("--output=yaml")

    other_project = fresh(tmp_path / "other")
    scaffold.identify(other_project.root)
    for arguments in (["k8s.secrets"], ["k8s.apply"], ["k8s.restart"], ["k8s.delete", "--data"]):
        refused = shared.of(other_project)(*arguments, "--take-over", f"--confirm={shared.name}-local-dev", "--yes")
        assert refused.returncode == 2, refused.stderr
        assert f"the namespace {shared.name}-local-dev in {shared.server.context} belongs to" in refused.stderr
        assert f"the project with the id {shared.mark}, and this is the project with the id " in refused.stderr
        assert "`inv config.set --set=project.name=NAME`" in refused.stderr
    assert shared.live("--output=yaml") == before

    shutil.copytree(
        project.root, tmp_path / "clone", symlinks=True, ignore=shutil.ignore_patterns(".devai", "generated")
    )
    again = shared.of(Project(tmp_path / "clone"))("k8s.secrets", "--yes")
    assert again.returncode == 0, again.stderr
    assert "nothing to change" in again.stderr


def test_namespace_of_version_0_1_is_taken_over_only_if_confirmed(shared: SharedName, project: Project) -> None:
    run = shared.of(project)
    assert run("k8s.secrets", "--yes").returncode == 0
    marked = shared.mark
    shared.server.kubectl("label", "namespace", f"{shared.name}-local-dev", f"{PROJECT_LABEL}-")
    assert not shared.mark
    refused = run("k8s.secrets", "--yes")
    assert refused.returncode == 2
    assert "has no recorded owner" in refused.stderr
    assert "`--take-over` takes the stack over" in refused.stderr
    assert not shared.mark
    taken_over = run("k8s.secrets", "--yes", "--take-over")
    assert taken_over.returncode == 0, taken_over.stderr
    assert shared.mark == marked
