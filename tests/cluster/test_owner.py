"""A real API server: another project changes nothing in a stack's namespace, and a clone of the same project may."""

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
class Shared:
    """A name that several projects have, and the cluster in which each would have its stack."""

    server: Kubernetes
    name: str

    def of(self, project: Project) -> Run:
        """Tasks of a project."""

        def run(*words: str) -> subprocess.CompletedProcess[str]:
            chosen = (f"--set=project.name={self.name}", f"--set=kubernetes.context={self.server.context}")
            return inv(*words, *chosen, cwd=project.root, environ={"KUBECONFIG": str(self.server.kubeconfig)})

        return run

    def there(self, *options: str) -> str:
        """What the cluster has of the stack."""
        names = [f"namespace/{self.name}-local-dev", "secret/devai"]
        shown = self.server.kubectl("get", *names, f"--namespace={self.name}-local-dev", *options)
        assert shown.returncode == 0, shown.stderr
        return shown.stdout

    @property
    def mark(self) -> str:
        """The project that the namespace is marked with."""
        dotted = PROJECT_LABEL.replace(".", r"\.")
        return self.there(f"--output=jsonpath={{.items[0].metadata.labels.{dotted}}}")


@pytest.fixture
def shared(api_server: Kubernetes) -> Iterator[Shared]:
    own = Shared(api_server, f"own-{uuid.uuid4().hex[:8]}")
    yield own
    api_server.kubectl("delete", "namespace", f"{own.name}-local-dev", "--wait=false", "--ignore-not-found")


def test_another_project_changes_nothing_and_a_clone_may(shared: Shared, project: Project, tmp_path: Path) -> None:
    first = shared.of(project)
    made = first("k8s.secrets", "--yes")
    assert made.returncode == 0, made.stderr
    assert f"wrote project.id to {ownership.FILE}; commit the file" in made.stderr
    before = shared.there("--output=yaml")

    other = fresh(tmp_path / "other")
    scaffold.identify(other.root)
    for words in (["k8s.secrets"], ["k8s.apply"], ["k8s.restart"], ["k8s.delete", "--data"]):
        refused = shared.of(other)(*words, "--take-over", f"--confirm={shared.name}-local-dev", "--yes")
        assert refused.returncode == 2, refused.stderr
        assert f"the namespace {shared.name}-local-dev in {shared.server.context} belongs to" in refused.stderr
        assert f"the project with the id {shared.mark}, and this is the project with the id " in refused.stderr
        assert "`inv config.set --set=project.name=NAME`" in refused.stderr
    assert shared.there("--output=yaml") == before

    shutil.copytree(
        project.root, tmp_path / "clone", symlinks=True, ignore=shutil.ignore_patterns(".devai", "generated")
    )
    again = shared.of(Project(tmp_path / "clone"))("k8s.secrets", "--yes")
    assert again.returncode == 0, again.stderr
    assert "nothing to change" in again.stderr


def test_a_namespace_of_version_0_1_is_taken_over_after_a_question_only(shared: Shared, project: Project) -> None:
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
    taken = run("k8s.secrets", "--yes", "--take-over")
    assert taken.returncode == 0, taken.stderr
    assert shared.mark == marked
