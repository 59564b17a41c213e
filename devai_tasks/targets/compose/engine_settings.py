"""What only the engine of this machine knows, and what Compose can't do on all of them."""

from __future__ import annotations

import grp
import time
from collections.abc import Sequence
from dataclasses import replace

from devai_tasks.config.schema import Settings
from devai_tasks.engine.docker import Docker
from devai_tasks.engine.docker_compose import Compose
from devai_tasks.system.errors import ToolError

PAUSE_SECONDS = 1.0


def known(settings: Settings, docker: Docker) -> Settings:
    """The settings with what the engine that answers is, in place of what it might be.

    To Docker that runs as a person, that person is root in a container; to Podman, the stack says so by keep-id.
    """
    docker.choose(settings.engine.name)
    if docker.dry:
        return settings
    name, rootless = docker.kind()
    own = replace(settings.engine, name=name, rootless=rootless)
    if name == "docker" and rootless:
        own = replace(own, uid=0, gid=0)
    return replace(settings, engine=own, gpu=replace(settings.gpu, groups=tuple(map(_number, settings.gpu.groups))))


def _number(group: str) -> str:
    """A group of this machine as its number, for an image knows others; as it is where this machine has none."""
    try:
        return str(grp.getgrnam(group).gr_gid)
    except KeyError:
        return group


def wait(own: Compose, services: Sequence[str], *, seconds: int) -> None:
    """Wait until each service answers its health check, asked here: Podman's need systemd.

    Raises ToolError for one that has stopped, or with its last words for one that does not answer in time.
    """
    definition = own.config()["services"]
    checks = {
        name: [str(word).replace("$$", "$") for word in definition[name]["healthcheck"]["test"]][1:]
        for name in services
    }
    end = time.monotonic() + seconds
    for service, check in checks.items():
        while True:
            try:
                own.pipe(service, check)
                break
            except ToolError as error:
                stopped = [row for row in own.containers() if row["service"] == service and row["state"] == "exited"]
                if stopped or time.monotonic() > end:
                    reason = "has stopped" if stopped else "answers no health check"
                    raise ToolError(
                        f"{service} {reason}: {error}",
                        stderr=error.stderr,
                        hint="`inv compose.logs` shows what it says",
                        code="DEVAI-ENGINE-010" if stopped else "DEVAI-ENGINE-009",
                    ) from error
                time.sleep(PAUSE_SECONDS)
