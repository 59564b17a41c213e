"""Errors of an unreachable engine, for the output of several versions of Docker's client."""

from __future__ import annotations

import pytest

from devai_tasks.engine.docker import known_failures
from devai_tasks.system.errors import ToolError

SOCKET = "unix:///var/run/docker.sock"
TO_28 = "Cannot connect to the Docker daemon at {}. Is the docker daemon running?"
FROM_29 = (
    "failed to connect to the docker API at {}; check if the path is correct and if the daemon is running: "
    "dial unix: connect: no such file or directory"
)


def message_of(output: str) -> str:
    return str(ToolError.of("docker info", 1, output, known_failures(output)))


@pytest.mark.parametrize("output_format", [TO_28, FROM_29])
def test_unreachable_engine_is_reported_with_its_address(monkeypatch: pytest.MonkeyPatch, output_format: str) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    message = message_of(output_format.format(SOCKET))
    assert f"no container engine answers at {SOCKET}; start Docker Desktop, or" in message


def test_address_in_docker_host_is_reported_with_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.7:2375")
    message = message_of(TO_28.format("tcp://192.0.2.7:2375"))
    hint = "DOCKER_HOST is set to this address: start that engine, or `unset DOCKER_HOST`"
    assert message.endswith(f"at tcp://192.0.2.7:2375; {hint}")


@pytest.mark.parametrize(("folder", "scope"), [("/run", ""), ("/run/user/1000", "--user ")])
def test_missing_socket_of_podman_is_reported_with_its_unit(
    monkeypatch: pytest.MonkeyPatch, folder: str, scope: str
) -> None:
    address = f"unix://{folder}/podman/podman.sock"
    monkeypatch.setenv("DOCKER_HOST", address)  # as set by `Docker.choose`
    assert message_of(TO_28.format(address)).endswith(f"at {address}; `systemctl {scope}restart podman.socket`")


def test_missing_permission_is_distinguished_from_a_missing_engine() -> None:
    message = message_of(f"permission denied while trying to connect to the docker API at {SOCKET}")
    assert "no permission on the engine's socket" in message
