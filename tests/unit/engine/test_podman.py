"""Builds by Podman. Podman is a fake that prints its arguments; tests/smoke/test_rootless.py uses the real one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from python_on_whales.exceptions import DockerException

from devai_tasks.engine import podman
from devai_tasks.system.errors import DevaiError, MissingToolError

TARGET: dict[str, Any] = {
    "context": ".",
    "dockerfile": "Dockerfile",
    "args": {"BASE_IMAGE": "debian:trixie-slim", "HTTPS_PROXY": "http://u:canary@proxy", "TOOLS": ""},
    "labels": {"io.devai.project": "lab"},
    "secret": [{"id": "ca", "src": "ca.pem"}],
    "tags": ["lab-lab:local-dev"],
}


@pytest.fixture
def fake_podman(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "podman"
    program.write_text(
        '#!/bin/sh\nfor argument; do echo "$argument"; done\necho "proxy $HTTPS_PROXY"\n', encoding="utf-8"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return program


@pytest.mark.usefixtures("fake_podman")
def test_names_are_fully_qualified_and_hidden_values_are_not_arguments() -> None:
    output = [line.rstrip() for line in podman.build(TARGET, {"HTTPS_PROXY": "http://u:canary@proxy"})]
    *arguments, proxy = output
    assert arguments == [
        "build",
        "--format=docker",
        "--file=Dockerfile",
        "--tag=docker.io/library/lab-lab:local-dev",
        "--build-arg=BASE_IMAGE=docker.io/library/debian:trixie-slim",
        "--build-arg=HTTPS_PROXY",
        "--build-arg=TOOLS=",
        "--label=io.devai.project=lab",
        "--secret=id=ca,src=ca.pem",
        ".",
    ]
    assert proxy == "proxy http://u:canary@proxy"


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"platforms": ["linux/amd64", "linux/arm64"]}, "several --platform values"),
        ({"cache-from": ["type=local,src=x"]}, "--cache-from"),
        ({"output": ["type=registry"]}, "output to an archive or registry"),
    ],
)
def test_options_that_require_buildkit_are_refused(changed: dict[str, Any], named: str) -> None:
    with pytest.raises(DevaiError, match=f"{named}; build with Docker"):
        podman.build({**TARGET, **changed}, {})


@pytest.mark.parametrize(
    ("name", "qualified"),
    [
        ("debian:trixie", "docker.io/library/debian:trixie"),
        ("nvidia/cuda:13.0.1", "docker.io/nvidia/cuda:13.0.1"),
        ("localhost:5000/lab", "localhost:5000/lab"),
        ("registry.example.com/a/b@sha256:0", "registry.example.com/a/b@sha256:0"),
    ],
)
def test_short_name_is_qualified_as_in_docker(name: str, qualified: str) -> None:
    assert podman.qualified(name) == qualified


def test_failed_build_has_the_end_of_its_output(fake_podman: Path) -> None:
    fake_podman.write_text("#!/bin/sh\necho no space left on device\nexit 125\n", encoding="utf-8")
    with pytest.raises(DockerException, match="no space left on device"):
        list(podman.build(TARGET, {}))


def test_missing_podman_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(MissingToolError, match="podman is not installed"):
        list(podman.build(TARGET, {}))
