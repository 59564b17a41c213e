"""Fixtures that every folder of tests may use."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness.cli import inv
from harness.project import fresh
from hypothesis import settings

from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack

pytest_plugins = ["harness.kubernetes.fixtures"]

# How long an example takes says nothing on a machine that does something else, too; Hypothesis has no deadline in CI.
if "CI" not in os.environ:
    settings.register_profile("no deadline", deadline=None)
    settings.load_profile("no deadline")
# `--hypothesis-profile=fuzz` is what `nox -s fuzz` takes.
settings.register_profile("fuzz", max_examples=2000)

# All projects are the tests' own; who trusts none says so.
os.environ["DEVAI_TRUST"] = "1"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session", autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what is known of all projects of a machine apart from the caller's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A fresh project."""
    return fresh(tmp_path / "lab")


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The same for tests that change nothing in it."""
    return fresh(tmp_path_factory.mktemp("shipped") / "lab")


@pytest.fixture(scope="session")
def local_dev() -> Stack:
    return Stack("dev", "local")


@pytest.fixture
def nobodys_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Without what the person who runs the tests has set for labs of their own; no engine is found."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
    for name in os.environ:
        if name.startswith(("DEVAI__", "COMPOSE_", "DOCKER_")) or name.endswith("_API_KEY"):
            monkeypatch.delenv(name)
    monkeypatch.delenv("DEVAI_TRACEBACK", raising=False)
    for name in ("HOST_IP", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")


@pytest.fixture
def cli(project: Project, nobodys_environment: None) -> Run:  # noqa: ARG001 - for its effect
    """Run `inv` or `devai` in the project, as a process of its own with nobody at the terminal."""

    def run(program: str, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return inv(*words, cwd=project.root, environ=variables, seconds=60, program=program)

    return run


@pytest.fixture
def devai(
    project: Project,
    nobodys_environment: None,  # noqa: ARG001 - for its effect
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Run `devai` in the project, within this process: the code of the console script, without its start-up time."""
    from devai_tasks.cli.program import program

    monkeypatch.chdir(project.root)
    monkeypatch.setattr("sys.stdin", io.StringIO())  # nobody at the terminal

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        capsys.readouterr()
        code = 0
        try:
            program.run(["devai", *words])
        except SystemExit as ended:
            code = int(ended.code or 0)
        output, errors = capsys.readouterr()
        return subprocess.CompletedProcess(list(words), code, output, errors)

    return run
