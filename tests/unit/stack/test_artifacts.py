"""Whose artifacts are where: a run that changes a stack reads what it has written, whatever others look at."""

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


def there(project: Project, stack: Stack) -> dict[str, str]:
    """The files that tools read of a stack."""
    return {
        f"{target.name}/{file.name}": file.read_text(encoding="utf-8")
        for target in project.artifacts(stack).glob("[!.]*")
        for file in target.iterdir()
    }


@pytest.fixture
def changing(project: Project) -> Iterator[Project]:
    """A project of which this process changes two stacks, in the middle of that: all is rendered, nothing read yet."""
    with (
        runs.alone(project, LOCAL, runs.begin("up", [])),
        runs.alone(project, AWS, runs.begin("up", [])),
    ):
        own = settings(project, LOCAL, gpu=True)
        compose.project_files(project, own)
        kubernetes.manifests(Cluster(project, own, dry=True))
        artifacts.provide(project, LOCAL, lambda _: image.render(own))
        workdir.of_project(project, settings(project, AWS))
        yield project


@pytest.mark.parametrize(
    ("stack", "words"),
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
def test_a_look_changes_nothing_that_a_running_change_reads(
    changing: Project, cli: Cli, stack: Stack, words: list[str]
) -> None:
    before = there(changing, stack)
    assert before
    assert cli("devai", *words).returncode == 0
    assert there(changing, stack) == before


def test_a_look_during_a_change_has_files_of_its_own(changing: Project, cli: Cli) -> None:
    looked = cli("devai", "--dry", "compose.ps")
    assert looked.returncode == 0, looked.stderr
    assert "docker compose --profile '*' --env-file generated/.local-dev/compose/.env ps" in looked.stderr
    rendered = (changing.root / "generated/.local-dev/compose/.env").read_text(encoding="utf-8")
    assert "8888" in rendered
    assert "9777" not in rendered
    assert "generated/.local-dev/compose/docker-compose.stack.yml" in rendered
    assert "generated/local-dev/" not in rendered.partition("COMPOSE_FILE")[2]


def test_rendering_by_hand_waits_for_a_change_to_end(changing: Project, cli: Cli) -> None:
    before = there(changing, LOCAL)
    refused = cli("devai", "config.render")
    assert refused.returncode == 1
    assert "local-dev is being changed by `inv up` (" in refused.stderr
    assert "no artifact was changed; wait until that run ends" in refused.stderr
    assert there(changing, LOCAL) == before


def test_without_a_change_a_look_renders_where_people_find_it(project: Project, cli: Cli) -> None:
    with runs.alone(project, LOCAL, runs.begin("up", [])):
        pass
    looked = cli("devai", "--dry", "compose.ps")
    assert "--env-file generated/local-dev/compose/.env ps" in looked.stderr
    assert not (project.root / "generated/.local-dev").exists()
