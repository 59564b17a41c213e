"""Settings that only the engine of this machine determines, and a health check wait for Podman."""

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
    """Return the settings with the kind of engine that is actually in use.

    With rootless Docker, root in a container is the calling user; with Podman, the stack maps the user with `keep-id`.
    """
    docker.choose(settings.engine.name)
    if docker.dry:
        return settings
    name, rootless = docker.kind()
    engine = replace(settings.engine, name=name, rootless=rootless)
    if name == "docker" and rootless:
        engine = replace(engine, uid=0, gid=0)
    return replace(settings, engine=engine, gpu=replace(settings.gpu, groups=tuple(map(_number, settings.gpu.groups))))


def _number(group: str) -> str:
    """Return the number of a group of this machine, because an image has other group names; unknown names stay."""
    try:
        return str(grp.getgrnam(group).gr_gid)
    except KeyError:
        return group


def wait(containers: Compose, services: Sequence[str], *, seconds: int) -> None:
    """Wait until each service passes its health check, which is run here: Podman's own health checks need systemd.

    Raises:
        ToolError: a service has stopped, or does not pass within `seconds`; the error has the check's output.
    """
    definition = containers.config()["services"]
    checks = {
        name: [str(argument).replace("$$", "$") for argument in definition[name]["healthcheck"]["test"]][1:]
        for name in services
    }
    deadline = time.monotonic() + seconds
    for service, check in checks.items():
        while True:
            try:
                containers.pipe(service, check)
                break
            except ToolError as error:
                stopped = [
                    row for row in containers.containers() if row["service"] == service and row["state"] == "exited"
                ]
                if stopped or time.monotonic() > deadline:
                    reason = "has stopped" if stopped else "does not pass its health check"
                    raise ToolError(
                        f"{service} {reason}: {error}",
                        stderr=error.stderr,
                        hint="`inv compose.logs` shows its output",
                        code="DEVAI-ENGINE-010" if stopped else "DEVAI-ENGINE-009",
                    ) from error
                time.sleep(PAUSE_SECONDS)
