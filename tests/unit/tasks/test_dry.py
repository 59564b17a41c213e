"""`--dry`: the exact commands, artefacts rendered, nothing run. There is no docker to run: PATH is empty."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

from devai_tasks.config.project import Project

Run = Callable[..., CompletedProcess[str]]

COMPOSE = "docker compose --env-file generated/local-dev/compose/.env"
ALL = "docker compose --profile '*' --env-file generated/local-dev/compose/.env"  # also what is switched off now
UP = f"{COMPOSE} up --detach --wait --wait-timeout 180 --remove-orphans"
BAKE = "docker buildx bake --progress plain --file generated/local-dev/image/docker-bake.json"


@pytest.fixture(autouse=True)
def no_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")


def commands(result: CompletedProcess[str]) -> list[str]:
    """The commands among what was said."""
    assert result.returncode == 0, result.stderr
    lines = (result.stderr + result.stdout).splitlines()
    return [line for line in lines if shlex.split(line, posix=False)[:1] in (["docker"], ["ollama"], ["uv"])]


def rendered(project: Project) -> set[str]:
    generated = project.root / "generated"
    return {
        f"{file.parent.parent.name}/{target.name}/{file.name}"
        for target in generated.glob("*/*")
        if target.is_symlink()
        for file in target.iterdir()
    }


@pytest.mark.parametrize("words", [("--dry", "compose.up"), ("compose.up", "--dry")])
def test_up_is_one_command_wherever_the_flag_stands(project: Project, cli: Run, words: tuple[str, ...]) -> None:
    assert commands(cli("inv", *words)) == [UP]
    assert {path.rpartition("/")[2] for path in rendered(project)} == {".env", "docker-compose.stack.yml"}
    assert not (project.root / ".devai").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["compose.down"], [f"{ALL} down --remove-orphans"]),
        (["compose.down", "--data"], [f"{ALL} down --remove-orphans --volumes"]),
        (["down"], [f"{ALL} down --remove-orphans"]),
        (["compose.restart"], [f"{COMPOSE} restart"]),
        (["compose.restart", "--service=devai", "--service=ollama"], [f"{COMPOSE} restart devai ollama"]),
        (["compose.logs"], [f"{ALL} logs --no-color --tail all"]),
        (["compose.logs", "--follow", "--tail=5"], [f"{ALL} logs --no-color --tail 5 --follow"]),
        (["image.build"], [f"{BAKE} lab"]),
        (["models.pull", "--name=a", "--name=b:1"], ["ollama list", "ollama pull a:latest", "ollama pull b:1"]),
        (["models.remove", "--name=a"], ["ollama rm a:latest"]),
        (["up"], [f"{BAKE} lab", UP, "ollama list", "ollama pull smollm2:135m"]),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else "",
)
def test_a_task_prints_the_exact_commands_that_it_would_run(
    project: Project, devai: Run, words: list[str], expected: list[str]
) -> None:
    assert commands(devai("--dry", *words)) == expected
    assert rendered(project) or "models" in words[0]
    assert not (project.root / ".devai").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["compose.config"], [f"{COMPOSE} config --format json"]),
        (["compose.ps"], [f"{ALL} ps"]),
        (
            ["compose.pull"],
            [
                "docker image pull debian:trixie-slim",
                "docker image inspect debian:trixie-slim",
                "docker image pull ollama/ollama:0.17.4",
                "docker image inspect ollama/ollama:0.17.4",
            ],
        ),
        (["models.list"], ["ollama list"]),
    ],
)
def test_a_task_that_shows_something_prints_its_commands_too(devai: Run, words: list[str], expected: list[str]) -> None:
    printed = commands(devai("--dry", *words))
    assert [line for line in printed if line.startswith(tuple(expected))] == printed != []


def test_a_gpu_and_another_stack_change_the_commands_only_where_they_must(project: Project, devai: Run) -> None:
    assert commands(devai("--dry", "image.build", "--gpu", "--env=staging")) == [
        "docker buildx bake --progress plain --file generated/local-staging/image/docker-bake.json lab"
    ]
    text = (project.root / "generated/local-staging/image/docker-bake.json").read_text(encoding="utf-8")
    assert "Dockerfile.gpu" in text


def test_locking_packages_is_one_command_for_each_set(devai: Run) -> None:
    printed = commands(devai("--dry", "image.lock"))
    assert all(line.startswith("uv pip compile ") for line in printed)
    locked = [word for line in printed for word in line.split() if word.endswith(".in")]
    assert locked == ["full.in", "gpu.in", "minimal.in", "standard.in"]
