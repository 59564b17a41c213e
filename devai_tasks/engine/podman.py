"""What Podman has of its own: the API that it offers to Docker's client has no BuildKit, and hides who it runs as."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx
from python_on_whales.exceptions import DockerException

from devai_tasks.engine import registry
from devai_tasks.system import process
from devai_tasks.system.errors import TAIL_LINES, DevaiError, MissingToolError

# What of a bake target only BuildKit does.
_OTHERS = {"cache-from": "--cache-from", "cache-to": "--cache-to", "output": "an image that goes elsewhere"}


def build(target: Mapping[str, Any], hidden: Mapping[str, str]) -> Iterator[str]:
    """Build a target, as `docker buildx bake --print` resolves it, with Podman's own words.

    `hidden` are arguments that are shown to nobody. Raises DevaiError for what takes BuildKit, MissingToolError without
    Podman's own program, and DockerException with its last words.
    """
    several = ["--platform of several"] if len(target.get("platforms", ())) > 1 else []
    if wanted := [*several, *(flag for key, flag in _OTHERS.items() if target.get(key))]:
        raise DevaiError(
            f"Podman builds without BuildKit, which this takes: {', '.join(wanted)}", hint="build with Docker"
        )
    return _run(_command(target, hidden), {**os.environ, **hidden})


def _command(target: Mapping[str, Any], hidden: Mapping[str, str]) -> list[str]:
    # Docker's format, for the other one has no health check.
    words = ["podman", "build", "--format=docker", f"--file={target['dockerfile']}"]
    words += [f"--tag={qualified(tag)}" for tag in target["tags"]]
    words += [f"--platform={platform}" for platform in target.get("platforms", ())]
    words += ["--no-cache"] if target.get("no-cache") else []
    for name, value in target["args"].items():
        # Without a value, it is that of the variable.
        given = name if name in hidden else f"{name}={qualified(value) if name == 'BASE_IMAGE' else value}"
        words.append(f"--build-arg={given}")
    words += [f"--label={name}={value}" for name, value in target.get("labels", {}).items()]
    words += [f"--secret={_secret(secret)}" for secret in target.get("secret", ())]
    return [*words, target["context"]]


def qualified(image: str) -> str:
    """An image's whole name, as Docker means a short one; Podman asks which registry."""
    if registry.host(image) != registry.DOCKER_HUB:
        return image
    return f"docker.io/{image if '/' in image else f'library/{image}'}"


def _secret(printed: str | Mapping[str, str]) -> str:
    """Newer releases of buildx print a secret in its parts."""
    return printed if isinstance(printed, str) else ",".join(f"{name}={value}" for name, value in printed.items())


def _run(words: Sequence[str], environ: Mapping[str, str]) -> Iterator[str]:
    try:
        build = process.Stream(words, merged=True, options=process.Options(env=environ))
    except MissingToolError as error:
        raise MissingToolError("podman is not installed, and its engine builds through that alone") from error
    last: deque[str] = deque(maxlen=TAIL_LINES)
    for line in build:
        last.append(line)
        yield line
    if returncode := build.result().returncode:
        raise DockerException(list(words), returncode, stderr="\n".join(last).encode())


def is_rootless() -> bool:
    """Podman's own word: what it tells Docker's client is silent about it in 4.3, which Debian 12 has."""
    socket = os.environ.get("DOCKER_HOST", "").partition("unix://")[2]
    if not socket:
        return False
    try:
        with httpx.Client(transport=httpx.HTTPTransport(uds=socket), timeout=10) as client:
            return bool(client.get("http://podman/v4.0.0/libpod/info").json()["host"]["security"]["rootless"])
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return False
