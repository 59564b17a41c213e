"""Settings that depend on the engine: kinds of engines, health checks and Podman's socket. Engines are fakes."""

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
    """Fake of an engine of a kind."""

    def __init__(self, name: str, *, rootless: bool) -> None:
        super().__init__()
        self.answer = (name, rootless)

    def kind(self):  # type: ignore[no-untyped-def] # noqa: ANN201
        """Return the configured kind."""
        return self.answer


def known(project: Project, name: str, *, rootless: bool) -> Settings:
    settings = load(project, Stack("dev", "local"), ["engine.uid=1000", "engine.gid=1001"], environ={})
    return engine_settings.known(settings, Engine(name, rootless=rootless))


@pytest.mark.parametrize(
    ("name", "rootless", "ids"),
    [
        ("docker", False, (1000, 1001)),
        ("docker", True, (0, 0)),  # mapped to the calling user
        ("podman", False, (1000, 1001)),
        ("podman", True, (1000, 1001)),  # by keep-id
    ],
)
def test_files_belong_to_the_caller_on_every_kind_of_engine(
    shipped: Project, name: str, rootless: bool, ids: tuple[int, int]
) -> None:
    engine = known(shipped, name, rootless=rootless).engine
    assert (engine.name, engine.rootless, (engine.uid, engine.gid)) == (name, rootless, ids)


class Unhealthy(Compose):
    """Fake of a Compose project with one service whose health check fails."""

    def __init__(self, state: str) -> None:
        self.state = state

    def config(self) -> dict[str, Any]:
        """Return a service with a health check."""
        return {"services": {"devai": {"healthcheck": {"test": ["CMD", "check"]}}}}

    def pipe(self, *_: object, **__: object) -> None:
        """Fail as the health check does."""
        raise ToolError(command="check", returncode=7, stderr="refused")

    def containers(self) -> list[dict[str, Any]]:
        """Return one container."""
        return [{"service": "devai", "state": self.state}]


@pytest.mark.parametrize(
    ("state", "reason", "code"),
    [
        ("exited", "has stopped", "DEVAI-ENGINE-010"),
        ("running", "does not pass its health check", "DEVAI-ENGINE-009"),
    ],
)
def test_unhealthy_service_is_reported_with_output_of_its_health_check(state: str, reason: str, code: str) -> None:
    with pytest.raises(ToolError) as failure:
        engine_settings.wait(Unhealthy(state), ["devai"], seconds=-1)
    assert failure.value.message == f"devai {reason}: check failed (exit code 7): refused"
    assert (failure.value.hint, failure.value.code) == ("`inv compose.logs` shows its output", code)


def test_podman_is_used_by_its_socket_and_a_missing_socket_is_reported(
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
    monkeypatch.setenv("DOCKER_HOST", "unix:///custom.sock")
    Docker().choose("podman")
    assert os.environ["DOCKER_HOST"] == "unix:///custom.sock"


@pytest.mark.parametrize(
    ("docker", "uses_podman"),
    [
        ("echo unix://{folder}/podman/podman.sock", False),  # any existing socket, such as that of Docker Desktop
        ("echo ssh://lab@192.0.2.7", False),
        ("echo unix://{folder}/missing.sock", True),
        ("exit 1", True),
    ],
)
def test_podman_is_selected_if_the_docker_context_has_no_engine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, docker: str, uses_podman: bool
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
    assert bool(os.environ["DOCKER_HOST"]) is uses_podman


class Libpod(BaseHTTPRequestHandler):
    """Fake of Podman's Libpod API: the part of `info` of Podman 4.3 that is read."""

    def do_GET(self) -> None:
        """Answer with `info`."""
        body = json.dumps({"host": {"security": {"rootless": self.path.endswith("/libpod/info")}}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        """Return no address: a Unix socket has none."""
        return ""

    def log_message(self, *_: object) -> None:
        """Disable the log."""


def test_libpod_api_tells_whether_podman_is_rootless(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,  # the path of a socket must be short
        socketserver.UnixStreamServer(f"{folder}/podman.sock", Libpod) as server,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{folder}/podman.sock")
        assert podman.is_rootless()
        server.shutdown()
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.7:2375")
    assert not podman.is_rootless()
