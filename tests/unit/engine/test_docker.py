"""What is said where no engine answers, in the words of several versions of Docker's client."""

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


def said(output: str) -> str:
    return str(ToolError.of("docker info", 1, output, known_failures(output)))


@pytest.mark.parametrize("words", [TO_28, FROM_29])
def test_where_no_engine_answers_its_address_is_told(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    message = said(words.format(SOCKET))
    assert f"no container engine answers at {SOCKET}; start Docker Desktop, or" in message


def test_an_address_of_the_caller_is_theirs_to_take_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.7:2375")
    message = said(TO_28.format("tcp://192.0.2.7:2375"))
    hint = "DOCKER_HOST is set to this address: start that engine, or `unset DOCKER_HOST`"
    assert message.endswith(f"at tcp://192.0.2.7:2375; {hint}")


@pytest.mark.parametrize(("folder", "scope"), [("/run", ""), ("/run/user/1000", "--user ")])
def test_podmans_socket_is_started_as_podman(monkeypatch: pytest.MonkeyPatch, folder: str, scope: str) -> None:
    address = f"unix://{folder}/podman/podman.sock"
    monkeypatch.setenv("DOCKER_HOST", address)  # as choosing Podman does
    assert said(TO_28.format(address)).endswith(f"at {address}; `systemctl {scope}restart podman.socket`")


def test_missing_rights_are_no_missing_engine() -> None:
    message = said(f"permission denied while trying to connect to the docker API at {SOCKET}")
    assert "no permission on the engine's socket" in message
