"""Fixtures for all tests."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness.cli import inv
from harness.project import changed_files, fresh
from hypothesis import settings

from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack

pytest_plugins = ["harness.kubernetes.fixtures"]

# The duration of an example is meaningless on a busy machine. In CI, Hypothesis has no deadline by default.
if "CI" not in os.environ:
    settings.register_profile("no deadline", deadline=None)
    settings.load_profile("no deadline")
# The profile of `nox -s fuzz`.
settings.register_profile("fuzz", max_examples=2000)

# All projects are created by tests; tests of untrusted projects unset this.
os.environ["DEVAI_TRUST"] = "1"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session", autouse=True)
def separate_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the state of all projects separate from the user's state."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _unchanged_template() -> Iterator[None]:
    """Fail the run if a test changed files that all projects share."""
    yield
    assert not changed_files(), "call `separate` before a file of `deploy/` is changed"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A new project."""
    return fresh(tmp_path / "lab")


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A new project that tests only read."""
    return fresh(tmp_path_factory.mktemp("shipped") / "lab")


@pytest.fixture(scope="session")
def local_dev() -> Stack:
    return Stack("dev", "local")


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """An environment without the caller's variables for labs, and without an engine."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
    for name in os.environ:
        if name.startswith(("DEVAI__", "COMPOSE_", "DOCKER_")) or name.endswith("_API_KEY"):
            monkeypatch.delenv(name)
    monkeypatch.delenv("DEVAI_TRACEBACK", raising=False)
    for name in ("HOST_IP", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")


@pytest.fixture
def cli(project: Project, clean_environment: None) -> Run:  # noqa: ARG001 - for its effect
    """Run `inv` or `devai` in the project, in a separate process without a terminal."""

    def run(program: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return inv(*arguments, cwd=project.root, environ=variables, seconds=60, program=program)

    return run


@pytest.fixture
def devai(
    project: Project,
    clean_environment: None,  # noqa: ARG001 - for its effect
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Run `devai` in the project, in this process: the code of the console script, without its startup time."""
    from devai_tasks.cli.program import program

    monkeypatch.chdir(project.root)
    monkeypatch.setattr("sys.stdin", io.StringIO())  # no terminal

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        capsys.readouterr()
        code = 0
        try:
            program.run(["devai", *arguments])
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        output, errors = capsys.readouterr()
        return subprocess.CompletedProcess(list(arguments), code, output, errors)

    return run
