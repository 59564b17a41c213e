"""A stack on this machine: brought up, taken down, found."""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from devai_tasks import console, state
from devai_tasks.config import secrets
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.errors import DevaiError, UsageError, unknown
from devai_tasks.operations import images
from devai_tasks.render import compose as definition
from devai_tasks.render import image, writer
from devai_tasks.tools.docker import Compose, Docker

LAB = "devai"
OLLAMA = "ollama"
SERVICES = (LAB, OLLAMA)
WORK_DIR = "/home/devai/work"
# A command in the container has the environment of the image, without what the entrypoint puts before it: the
# programs that a person has installed.
AS_THE_LAB_DOES = ("env", "PATH=/home/devai/.venv/bin:/opt/lab/bin:/home/devai/.local/bin:/usr/local/bin:/usr/bin:/bin")
START_SECONDS = 180


def project_files(project: Project, settings: Settings) -> Path:
    """Render what Compose needs; returns the environment file that names all of it."""
    override = (project.root / definition.OVERRIDE).exists()
    rendered = definition.render(settings, override=override)
    folder = writer.write(rendered, project.artefacts(settings.stack))
    return (folder / definition.ENV_FILE).relative_to(project.root)


def compose(project: Project, settings: Settings, docker: Docker) -> Compose:
    """The stack's Compose project, rendered, on an engine that answers."""
    docker.check()
    return docker.compose(project_files(project, settings))


def up(project: Project, settings: Settings, docker: Docker, *, build: bool = False) -> None:
    """Start what the stack runs on this machine and wait until it is healthy.

    The lab's image is built where it lacks, with `build` in any case. What keeps the stack from starting is said
    before that, because a build takes minutes.
    """
    if not (project.root / settings.storage.work_dir).is_dir():
        raise UsageError(f"storage.work_dir: there is no folder {settings.storage.work_dir}; make it, or name another")
    limits = [settings.resources.lab, settings.resources.ollama][: 2 if settings.ollama.mode == "container" else 1]
    docker.check(cpus=max(limit.cpu.millicores for limit in limits) / 1000)
    own = docker.compose(project_files(project, settings))
    if not docker.dry:
        running = own.containers()
        check_ports(settings, running)
        changed = state.keep_secrets(project, settings.stack, secrets.resolve(project, settings.secrets))
        services = {container["service"] for container in running}
        if changed and LAB in services:
            own.restart([LAB])  # the files that it sees are those of its last start
        if settings.ollama.mode != "container" and OLLAMA in services:
            own.remove([OLLAMA])  # Compose leaves alone what the configuration no longer wants
    if settings.ollama.mode == "container":
        images.provide_ollama(project, settings, docker)
    if build or not docker.has_image(image.lab(settings)):
        images.build(project, settings, docker)
    with console.step(f"starting {settings.stack}"):
        own.up(timeout=START_SECONDS)


def check_ports(settings: Settings, running: Sequence[Mapping[str, Any]]) -> None:
    """Raise where something else listens on a port of the stack, or the machine has no such address.

    `running` are the stack's own containers, as Compose lists them: what they hold, they may go on holding.
    """
    held = {address.rpartition(":")[2] for container in running for address in container["published"]}
    wanted = {"lab": (settings.network.bind_address, settings.ports.lab)}
    if settings.ollama.mode == "container":
        wanted["ollama"] = ("127.0.0.1", settings.ports.ollama)
    for name, (address, port) in wanted.items():
        if str(port) not in held and _taken(address, port):
            others = {other for _, other in wanted.values()}
            candidates = (free for free in range(port + 1, 65536) if free not in others and not _taken(address, free))
            free = next(candidates, "PORT")
            raise DevaiError(
                f"port {port} of {address} is taken by another program; stop that, or choose another port: "
                f"`--set ports.{name}={free}`"
            )


def check_services(names: Sequence[str]) -> None:
    """Raise UsageError for a service that no stack has."""
    for name in names:
        if name not in SERVICES:
            raise UsageError(unknown("service", name, SERVICES))


def user(settings: Settings) -> str:
    """Who the lab's processes run as, as `uid:gid`."""
    return f"{settings.engine.uid}:{settings.engine.gid}"


def link(project: Project, settings: Settings) -> str:
    """The address of the lab, with its token: for the person's terminal only."""
    address = settings.network.bind_address
    host = "127.0.0.1" if address == "0.0.0.0" else address  # noqa: S104 - what a browser can open instead
    token = state.token(project, settings.stack)
    return f"http://{host}:{settings.ports.lab}{settings.network.base_url}lab?token={token}"


def _taken(address: str, port: int) -> bool:
    """Whether something listens there. Raises UsageError for an address that this machine doesn't have."""
    with socket.socket() as probe:
        # As the engine's own listener does: connections of a stack just taken down are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise UsageError(f"network.bind_address: this machine has no address {address}") from error
            # Anything else is not for this probe to judge: the engine may open a port below 1024.
            return error.errno == errno.EADDRINUSE
    return False
