"""Artifacts of concurrent runs: a run that changes a stack reads the artifacts that it has rendered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from subprocess import CompletedProcess

import pytest
from harness.settings import load

from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.config.stack import Stack
from devai_tasks.targets.compose import deployment as compose
from devai_tasks.targets.image import rendering as image
from devai_tasks.targets.kubernetes import deployment as kubernetes
from devai_tasks.targets.kubernetes.deployment import Cluster
from devai_tasks.targets.terraform import workdir
from devai_tasks.workspace import artifacts, runs

Cli = Callable[..., CompletedProcess[str]]

LOCAL, AWS = Stack("dev", "local"), Stack("dev", "aws")
OTHER_NAME = "--set=project.name=other"
OVERRIDES = ["ports.lab=9777", "image.version=9.7.7"]


def settings(project: Project, stack: Stack, *, gpu: bool = False) -> Settings:
    return load(project, stack, OVERRIDES, gpu=gpu, environ={})


def artifacts_of(project: Project, stack: Stack) -> dict[str, str]:
    """Return the artifacts of a stack by name."""
    return {
        f"{target.name}/{file.name}": file.read_text(encoding="utf-8")
        for target in project.artifacts(stack).glob("[!.]*")
        for file in target.iterdir()
    }


@pytest.fixture
def running_change(project: Project) -> Iterator[Project]:
    """A project with a running change of two stacks, whose artifacts are rendered and not yet read."""
    with (
        runs.alone(project, LOCAL, runs.begin("up", [])),
        runs.alone(project, AWS, runs.begin("up", [])),
    ):
        local = settings(project, LOCAL, gpu=True)
        compose.project_files(project, local)
        kubernetes.manifests(Cluster(project, local, dry=True))
        artifacts.provide(project, LOCAL, lambda _: image.render(local))
        workdir.of_project(project, settings(project, AWS))
        yield project


@pytest.mark.parametrize(
    ("stack", "arguments"),
    [
        (LOCAL, ["--dry", "compose.config", "--set=ports.lab=9778"]),
        (LOCAL, ["--dry", "up"]),
        (LOCAL, ["--dry", "status"]),
        (LOCAL, ["--dry", "k8s.build"]),
        (LOCAL, ["--dry", "image.build"]),
        (AWS, ["--dry", "tf.output", "--cloud=aws", OTHER_NAME]),
        (AWS, ["--dry", "tf.validate", "--cloud=aws", OTHER_NAME]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_read_only_task_keeps_the_artifacts_of_a_running_task(
    running_change: Project, cli: Cli, stack: Stack, arguments: list[str]
) -> None:
    before = artifacts_of(running_change, stack)
    assert before
    assert cli("devai", *arguments).returncode == 0
    assert artifacts_of(running_change, stack) == before


def test_read_only_task_renders_to_a_hidden_folder_during_a_change(running_change: Project, cli: Cli) -> None:
    result = cli("devai", "--dry", "compose.ps")
    assert result.returncode == 0, result.stderr
    assert "docker compose --profile '*' --env-file generated/.local-dev/compose/.env ps" in result.stderr
    rendered = (running_change.root / "generated/.local-dev/compose/.env").read_text(encoding="utf-8")
    assert "8888" in rendered
    assert "9777" not in rendered
    assert "generated/.local-dev/compose/docker-compose.stack.yml" in rendered
    assert "generated/local-dev/" not in rendered.partition("COMPOSE_FILE")[2]


def test_render_is_refused_during_a_change(running_change: Project, cli: Cli) -> None:
    before = artifacts_of(running_change, LOCAL)
    refused = cli("devai", "config.render")
    assert refused.returncode == 1
    assert "local-dev is being changed by `inv up` (" in refused.stderr
    assert "no artifact was changed; wait until that run ends" in refused.stderr
    assert artifacts_of(running_change, LOCAL) == before


def test_read_only_task_renders_to_the_folder_of_the_stack_otherwise(project: Project, cli: Cli) -> None:
    with runs.alone(project, LOCAL, runs.begin("up", [])):
        pass
    result = cli("devai", "--dry", "compose.ps")
    assert "--env-file generated/local-dev/compose/.env ps" in result.stderr
    assert not (project.root / "generated/.local-dev").exists()
