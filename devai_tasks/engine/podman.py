"""Podman's own interfaces: its Docker-compatible API has no BuildKit, and does not report rootless mode."""

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

# Properties of a bake target that need BuildKit, with their names for messages.
_BUILDKIT_ONLY = {"cache-from": "--cache-from", "cache-to": "--cache-to", "output": "output to an archive or registry"}


def build(target: Mapping[str, Any], hidden: Mapping[str, str]) -> Iterator[str]:
    """Build a bake target with Podman; yield the lines of its output.

    Args:
        target: the target as `docker buildx bake --print` resolves it.
        hidden: build arguments that are never printed.

    Raises:
        DevaiError: the target needs BuildKit.
        MissingToolError: podman is not installed.
        DockerException: the build failed; `stderr` holds the end of its output.
    """
    several = ["several --platform values"] if len(target.get("platforms", ())) > 1 else []
    if unsupported := [*several, *(flag for key, flag in _BUILDKIT_ONLY.items() if target.get(key))]:
        raise DevaiError(
            f"Podman builds without BuildKit, which is needed for: {', '.join(unsupported)}", hint="build with Docker"
        )
    return _run(_command(target, hidden), {**os.environ, **hidden})


def _command(target: Mapping[str, Any], hidden: Mapping[str, str]) -> list[str]:
    # Docker's format, because the OCI format has no health check.
    argv = ["podman", "build", "--format=docker", f"--file={target['dockerfile']}"]
    argv += [f"--tag={qualified(tag)}" for tag in target["tags"]]
    argv += [f"--platform={platform}" for platform in target.get("platforms", ())]
    argv += ["--no-cache"] if target.get("no-cache") else []
    for name, value in target["args"].items():
        # Without a value, podman reads the value from its environment.
        argument = name if name in hidden else f"{name}={qualified(value) if name == 'BASE_IMAGE' else value}"
        argv.append(f"--build-arg={argument}")
    argv += [f"--label={name}={value}" for name, value in target.get("labels", {}).items()]
    argv += [f"--secret={_secret(secret)}" for secret in target.get("secret", ())]
    return [*argv, target["context"]]


def qualified(image: str) -> str:
    """Return an image's full name with its registry, as Docker resolves a short name; Podman would ask for it."""
    if registry.host(image) != registry.DOCKER_HUB:
        return image
    return f"docker.io/{image if '/' in image else f'library/{image}'}"


def _secret(printed: str | Mapping[str, str]) -> str:
    """Return the value of `--secret`. Newer releases of buildx print a secret as a mapping."""
    return printed if isinstance(printed, str) else ",".join(f"{name}={value}" for name, value in printed.items())


def _run(argv: Sequence[str], environ: Mapping[str, str]) -> Iterator[str]:
    try:
        build = process.Stream(argv, merged=True, options=process.Options(env=environ))
    except MissingToolError as error:
        raise MissingToolError("podman is not installed; it is needed to build images with Podman's engine") from error
    last: deque[str] = deque(maxlen=TAIL_LINES)
    for line in build:
        last.append(line)
        yield line
    if returncode := build.result().returncode:
        raise DockerException(list(argv), returncode, stderr="\n".join(last).encode())


def is_rootless() -> bool:
    """Whether Podman runs rootless, by its own API: its Docker API in 4.3 (Debian 12) does not report that."""
    socket = os.environ.get("DOCKER_HOST", "").partition("unix://")[2]
    if not socket:
        return False
    try:
        with httpx.Client(transport=httpx.HTTPTransport(uds=socket), timeout=10) as client:
            return bool(client.get("http://podman/v4.0.0/libpod/info").json()["host"]["security"]["rootless"])
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return False
