"""Compose files of a stack as text; tests/contract parses them with Compose."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from harness.settings import load

from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.config.stack import Stack
from devai_tasks.targets.compose import rendering as compose
from devai_tasks.targets.compose.rendering import COMPOSE_ENV, COMPOSE_STACK

EXAMPLE = "deploy/compose/.env.example"
REGENERATE = "DEVAI_REGENERATE=1 pytest tests/unit/targets/compose/test_rendering.py"
REPOSITORY = Path(__file__).parents[4]


@pytest.fixture
def dev(shipped: Project, local_dev: Stack) -> Callable[..., Settings]:
    """Return a function that loads the settings of local-dev with overrides."""
    return lambda *overrides: load(shipped, local_dev, overrides, environ={})


def variables(settings: Settings, *, override: bool = False) -> dict[str, str]:
    """Return the variables of the environment file, unquoted: none of these values needs an escape."""
    lines = compose.render(settings, override=override)[COMPOSE_ENV].splitlines()
    return {
        name: value.strip("'")
        for name, _, value in (line.partition("=") for line in lines if line and not line.startswith("#"))
    }


def stack_file(settings: Settings) -> str:
    return compose.render(settings)[COMPOSE_STACK]


def test_environment_file_has_project_name_and_compose_files(dev: Callable[..., Settings]) -> None:
    environment = variables(dev("engine.uid=1000"))
    assert environment["COMPOSE_PROJECT_NAME"] == "devai-local-dev"
    assert environment["COMPOSE_FILE"] == (
        "deploy/compose/docker-compose.yml:deploy/compose/docker-compose.user.yml:"
        "generated/local-dev/compose/docker-compose.stack.yml"
    )


def test_lab_as_root_does_not_use_the_file_that_adds_capabilities(dev: Callable[..., Settings]) -> None:
    assert "docker-compose.user.yml" not in variables(dev("engine.uid=0"))["COMPOSE_FILE"]


def test_gpu_file_and_override_file_are_used_if_present(dev: Callable[..., Settings]) -> None:
    files = variables(dev("engine.uid=1000", "gpu.enabled=true", "gpu.count=2"), override=True)
    assert files["DEVAI_GPU_COUNT"] == "2"
    assert files["COMPOSE_FILE"].split(":") == [
        "deploy/compose/docker-compose.yml",
        "deploy/compose/docker-compose.user.yml",
        "deploy/compose/docker-compose.gpu.yml",
        "generated/local-dev/compose/docker-compose.stack.yml",
        "deploy/compose/docker-compose.override.yml",  # last, so that it overrides the others
    ]
    assert "DEVAI_GPU_COUNT" not in variables(dev())


@pytest.mark.parametrize(
    ("flags", "profiles", "address"),
    [
        (["ollama.mode=container"], "ollama", "http://ollama:11434"),
        (["ollama.mode=host"], "", "http://host.docker.internal:11434"),
        (["ollama.mode=external", "ollama.url=http://192.0.2.7:1"], "", "http://192.0.2.7:1"),
    ],
)
def test_address_of_ollama_in_the_lab_depends_on_its_mode(
    dev: Callable[..., Settings], flags: list[str], profiles: str, address: str
) -> None:
    settings = dev(*flags)
    assert variables(settings)["COMPOSE_PROFILES"] == profiles
    assert variables(settings)["DEVAI_OLLAMA_HOST"] == address
    assert ("ollama" in yaml.safe_load(stack_file(settings))["services"]) == (profiles == "ollama")


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["ollama.mode=container"], False),
        (["ollama.mode=host"], True),
        (["ollama.mode=external", "ollama.url=http://192.0.2.7:1"], False),
        (["ollama.mode=external", "ollama.url=http://host.docker.internal:1234"], True),
    ],
)
def test_name_of_the_host_is_added_only_if_ollama_runs_on_it(
    dev: Callable[..., Settings], flags: list[str], *, named: bool
) -> None:
    services = yaml.safe_load(stack_file(dev(*flags)))["services"]
    assert services["devai"].get("extra_hosts") == (["host.docker.internal:host-gateway"] if named else None)
    structure = (REPOSITORY / "deploy/compose/docker-compose.yml").read_text(encoding="utf-8")
    assert "extra_hosts" not in structure


@pytest.mark.parametrize(
    ("work_dir", "path_in_compose"),
    [(".", "../.."), ("notebooks", "../../notebooks"), ("..", "../../.."), ("/srv/work", "/srv/work")],
)
def test_work_folder_is_relative_to_the_project(
    dev: Callable[..., Settings], work_dir: str, path_in_compose: str
) -> None:
    assert variables(dev(f"storage.work_dir={work_dir}"))["DEVAI_WORK_DIR"] == path_in_compose


def test_podman_has_its_own_file_and_options(dev: Callable[..., Settings]) -> None:
    podman = dev("engine.name=podman", "gpu.enabled=true", "gpu.count=2")
    files = variables(podman)["COMPOSE_FILE"]
    assert "docker-compose.podman.yml" in files
    assert "docker-compose.gpu.yml" not in files
    services = yaml.safe_load(stack_file(podman))["services"]
    for service in services.values():
        assert service["devices"] == ["nvidia.com/gpu=0", "nvidia.com/gpu=1"]
    assert "userns_mode" not in services["devai"]
    rootless = replace(podman, engine=replace(podman.engine, rootless=True))
    assert yaml.safe_load(stack_file(rootless))["services"]["devai"]["userns_mode"] == "keep-id"


def test_quantities_have_the_units_of_compose(dev: Callable[..., Settings]) -> None:
    environment = variables(dev("resources.lab.cpu=1500m", "resources.lab.memory=1.5Gi", "ollama.keep_alive=2h"))
    assert environment["DEVAI_LAB_CPUS"] == "1.5"
    assert environment["DEVAI_LAB_MEMORY"] == "1610612736"
    assert environment["DEVAI_OLLAMA_KEEP_ALIVE"] == "7200s"


def test_labels_variables_and_secrets_are_in_the_stack_file(dev: Callable[..., Settings]) -> None:
    definition = yaml.safe_load(
        stack_file(dev("secrets={SOME_KEY: '${secret:OTHER}'}", "env={PRICE: '5$'}", 'labels={team: "a\'b"}'))
    )
    lab, ollama = definition["services"]["devai"], definition["services"]["ollama"]
    assert lab["environment"]["DEVAI_ENV_PRICE"] == "5$$"
    assert "PRICE" not in lab["environment"]
    assert "SOME_KEY" in lab["secrets"]
    assert definition["secrets"]["SOME_KEY"] == {"file": "${DEVAI_STATE_DIR}/secrets/SOME_KEY"}
    assert lab["labels"] == ollama["labels"]
    assert lab["labels"]["team"] == "a'b"


def test_allowed_hosts_are_added(dev: Callable[..., Settings]) -> None:
    assert variables(dev())["DEVAI_ALLOWED_HOSTS"] == ""
    added = dev("network.allowed_hosts=[lab.example.com, .example.net]")
    assert variables(added)["DEVAI_ALLOWED_HOSTS"] == "lab.example.com .example.net"


def test_rendering_the_same_settings_gives_the_same_text(dev: Callable[..., Settings]) -> None:
    assert compose.render(dev("ports.lab=9000")) == compose.render(dev("ports.lab=9000"))


def test_example_for_manual_use_of_compose_is_current(shipped: Project, dev: Callable[..., Settings]) -> None:
    """`DEVAI_REGENERATE=1` rewrites the repository's file."""
    rendered = compose.example(dev("engine.uid=1000", "engine.gid=1000"))
    if os.environ.get("DEVAI_REGENERATE") == "1":
        (REPOSITORY / EXAMPLE).write_text(rendered, encoding="utf-8")
        return
    file = shipped.root / EXAMPLE
    actual = file.read_text(encoding="utf-8") if file.exists() else ""
    assert actual == rendered, f"{EXAMPLE} is out of date; `{REGENERATE}` writes the file"
