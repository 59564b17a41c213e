"""What an engine is changes the stack: each kind that can't run here is a stand-in that says what it is."""

from __future__ import annotations

import json
import os
import socketserver
import tempfile
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from harness.settings import load

from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.config.stack import Stack
from devai_tasks.engine import podman
from devai_tasks.engine.docker import Docker
from devai_tasks.engine.docker_compose import Compose
from devai_tasks.system.errors import DevaiError, ToolError
from devai_tasks.targets.compose import engine_settings


class Engine(Docker):
    """Stands in for an engine of a kind."""

    def __init__(self, name: str, *, rootless: bool) -> None:
        super().__init__()
        self.answer = (name, rootless)

    def kind(self):  # type: ignore[no-untyped-def] # noqa: ANN201
        """What it is told to be."""
        return self.answer


def known(project: Project, name: str, *, rootless: bool) -> Settings:
    settings = load(project, Stack("dev", "local"), ["engine.uid=1000", "engine.gid=1001"], environ={})
    return engine_settings.known(settings, Engine(name, rootless=rootless))


@pytest.mark.parametrize(
    ("name", "rootless", "ids"),
    [
        ("docker", False, (1000, 1001)),
        ("docker", True, (0, 0)),  # which are the person's own
        ("podman", False, (1000, 1001)),
        ("podman", True, (1000, 1001)),  # by keep-id
    ],
)
def test_files_are_the_callers_on_every_kind_of_engine(
    shipped: Project, name: str, rootless: bool, ids: tuple[int, int]
) -> None:
    found = known(shipped, name, rootless=rootless).engine
    assert (found.name, found.rootless, (found.uid, found.gid)) == (name, rootless, ids)


class Unhealthy(Compose):
    """Stands in for a project of one service whose health check fails."""

    def __init__(self, state: str) -> None:
        self.state = state

    def config(self) -> dict[str, Any]:
        """One health check."""
        return {"services": {"devai": {"healthcheck": {"test": ["CMD", "check"]}}}}

    def pipe(self, *_: object, **__: object) -> None:
        """What the health check ends with."""
        raise ToolError(command="check", returncode=7, stderr="refused")

    def containers(self) -> list[dict[str, Any]]:
        """One container."""
        return [{"service": "devai", "state": self.state}]


@pytest.mark.parametrize(
    ("state", "reason", "code"),
    [
        ("exited", "has stopped", "DEVAI-ENGINE-010"),
        ("running", "does not pass its health check", "DEVAI-ENGINE-009"),
    ],
)
def test_an_unhealthy_service_is_reported_with_the_output_of_its_health_check(
    state: str, reason: str, code: str
) -> None:
    with pytest.raises(ToolError) as failure:
        engine_settings.wait(Unhealthy(state), ["devai"], seconds=-1)
    assert failure.value.message == f"devai {reason}: check failed (exit code 7): refused"
    assert (failure.value.hint, failure.value.code) == ("`inv compose.logs` shows its output", code)


def test_podman_is_taken_by_its_socket_and_a_missing_one_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", "")
    with pytest.raises(DevaiError, match=r"systemctl --user enable --now podman\.socket"):
        Docker().choose("podman")
    (tmp_path / "podman").mkdir()
    (tmp_path / "podman/podman.sock").touch()
    Docker().choose("podman")
    assert os.environ["DOCKER_HOST"] == f"unix://{tmp_path}/podman/podman.sock"
    monkeypatch.setenv("DOCKER_HOST", "unix:///my/own.sock")
    Docker().choose("podman")
    assert os.environ["DOCKER_HOST"] == "unix:///my/own.sock"


@pytest.mark.parametrize(
    ("docker", "taken"),
    [
        ("echo unix://{folder}/podman/podman.sock", False),  # any that is there, as Docker Desktop's
        ("echo ssh://lab@192.0.2.7", False),
        ("echo unix://{folder}/gone.sock", True),
        ("exit 1", True),
    ],
)
def test_podman_is_found_by_itself_where_no_context_of_docker_leads_to_an_engine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, docker: str, taken: bool
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", "")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    program = tmp_path / "docker"
    program.write_text(f"#!/bin/sh\n{docker.format(folder=tmp_path)}\n", encoding="utf-8")
    program.chmod(0o755)
    Docker().choose("auto")
    assert not os.environ["DOCKER_HOST"]
    (tmp_path / "podman").mkdir()
    (tmp_path / "podman/podman.sock").touch()
    Docker().choose("auto")
    assert bool(os.environ["DOCKER_HOST"]) is taken


class Libpod(BaseHTTPRequestHandler):
    """Stands in for Podman's own API: what 4.3 answers of itself, as far as it is asked."""

    def do_GET(self) -> None:
        """One answer."""
        body = json.dumps({"host": {"security": {"rootless": self.path.endswith("/libpod/info")}}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        """A socket of the file system has no host."""
        return ""

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


def test_podman_is_asked_itself_whether_it_runs_as_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,  # sockets have short paths
        socketserver.UnixStreamServer(f"{folder}/podman.sock", Libpod) as server,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{folder}/podman.sock")
        assert podman.is_rootless()
        server.shutdown()
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.7:2375")
    assert not podman.is_rootless()
