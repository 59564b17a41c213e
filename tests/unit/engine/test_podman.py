"""How Podman is asked to build, by a stand-in that repeats it; the real one is in tests/smoke/test_rootless.py."""

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
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "podman"
    program.write_text('#!/bin/sh\nfor word; do echo "$word"; done\necho "proxy $HTTPS_PROXY"\n', encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return program


@pytest.mark.usefixtures("stand_in")
def test_names_are_whole_and_what_is_hidden_is_no_argument() -> None:
    said = [line.rstrip() for line in podman.build(TARGET, {"HTTPS_PROXY": "http://u:canary@proxy"})]
    *words, proxy = said
    assert words == [
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
def test_what_takes_buildkit_is_refused(changed: dict[str, Any], named: str) -> None:
    with pytest.raises(DevaiError, match=f"{named}; build with Docker"):
        podman.build({**TARGET, **changed}, {})


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("debian:trixie", "docker.io/library/debian:trixie"),
        ("nvidia/cuda:13.0.1", "docker.io/nvidia/cuda:13.0.1"),
        ("localhost:5000/lab", "localhost:5000/lab"),
        ("registry.example.com/a/b@sha256:0", "registry.example.com/a/b@sha256:0"),
    ],
)
def test_a_short_name_is_dockers(name: str, whole: str) -> None:
    assert podman.qualified(name) == whole


def test_a_build_that_fails_has_its_last_words(stand_in: Path) -> None:
    stand_in.write_text("#!/bin/sh\necho no space left on device\nexit 125\n", encoding="utf-8")
    with pytest.raises(DockerException, match="no space left on device"):
        list(podman.build(TARGET, {}))


def test_without_the_program_the_message_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(MissingToolError, match="podman is not installed"):
        list(podman.build(TARGET, {}))
