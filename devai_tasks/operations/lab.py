"""A stack on this machine: brought up, taken down, found."""

from __future__ import annotations

import socket
from pathlib import Path

from devai_tasks import console, state
from devai_tasks.config import secrets
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.errors import DevaiError
from devai_tasks.operations import images
from devai_tasks.render import compose as definition
from devai_tasks.render import image, writer
from devai_tasks.tools.docker import Compose, Docker

LAB = "devai"
START_SECONDS = 180


def project_files(project: Project, settings: Settings) -> Path:
    """Render what Compose needs; returns the environment file that names all of it."""
    override = (project.root / definition.OVERRIDE).exists()
    rendered = definition.render(settings, override=override)
    folder = writer.write(rendered, project.artefacts(settings.stack))
    return (folder / definition.ENV_FILE).relative_to(project.root)


def compose(project: Project, settings: Settings, docker: Docker) -> Compose:
    """The stack's Compose project, rendered."""
    return docker.compose(project_files(project, settings))


def up(project: Project, settings: Settings, docker: Docker) -> None:
    """Start what the stack runs on this machine and wait until it is healthy; images are built where they lack."""
    limits = [settings.resources.lab, settings.resources.ollama][: 2 if settings.ollama.mode == "container" else 1]
    docker.check(cpus=max(limit.cpu.millicores for limit in limits) / 1000)
    own = compose(project, settings, docker)
    if not docker.dry:
        check_ports(settings, own)
        changed = state.keep_secrets(project, settings.stack, secrets.resolve(project, settings.secrets))
        if changed and own.containers():
            own.restart([LAB])  # the files that it sees are those of its last start
    if settings.ollama.mode == "container":
        images.provide_ollama(project, settings, docker)
    if not docker.has_image(image.lab(settings)):
        images.build(project, settings, docker)
    with console.step(f"starting {settings.stack}"):
        own.up(timeout=START_SECONDS)


def check_ports(settings: Settings, own: Compose) -> None:
    """Raise where something else listens on a port of the stack."""
    held = {address for container in own.containers() for address in container["published"]}
    wanted = {"lab": (settings.network.bind_address, settings.ports.lab)}
    if settings.ollama.mode == "container":
        wanted["ollama"] = ("127.0.0.1", settings.ports.ollama)
    for name, (address, port) in wanted.items():
        if f"{address}:{port}" not in held and _taken(address, port):
            free = next(candidate for candidate in range(port + 1, 65536) if not _taken(address, candidate))
            raise DevaiError(
                f"port {port} of {address} is taken by another program; stop that, or choose another port: "
                f"`--set ports.{name}={free}`"
            )


def link(project: Project, settings: Settings) -> str:
    """The address of the lab, with its token: for the person's terminal only."""
    address = settings.network.bind_address
    host = "127.0.0.1" if address == "0.0.0.0" else address  # noqa: S104 - what a browser can open instead
    token = state.token(project, settings.stack)
    return f"http://{host}:{settings.ports.lab}{settings.network.base_url}lab?token={token}"


def _taken(address: str, port: int) -> bool:
    with socket.socket() as probe:
        # As the engine's own listener does: connections of a stack just taken down are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except PermissionError:
            return False  # a port below 1024: the engine may
        except OSError:
            return True
    return False
