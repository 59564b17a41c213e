"""A stack on this machine: start, restart, and checks before and after."""

from __future__ import annotations

import errno
import socket
import stat
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from devai_tasks.config import naming
from devai_tasks.config.naming import CHROMA, LAB, OLLAMA, SERVICES
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.config.secrets import PROXIES
from devai_tasks.config.sections.lab import Limits
from devai_tasks.engine.docker import Docker
from devai_tasks.engine.docker_compose import Compose, Recreate
from devai_tasks.system import console
from devai_tasks.system.errors import DevaiError, UsageError, unknown
from devai_tasks.targets.compose import engine_settings, rendering
from devai_tasks.targets.compose import ownership as folder_ownership
from devai_tasks.targets.compose.rendering import COMPOSE_ENV
from devai_tasks.workspace import artifacts, secret_values, state, tls, work_dir

WORK_DIR = work_dir.TARGET
START_SECONDS = 180
ANSWER_SECONDS = 2

Parts = tuple[Project, Settings, Docker]
"""A project, the settings of its stack, and the engine that runs the stack."""


def project_files(project: Project, settings: Settings) -> Path:
    """Render Compose's files; return the environment file that refers to all of them."""
    override = (project.root / rendering.OVERRIDE).exists()
    files = partial(rendering.render, settings, override=override)
    folder = artifacts.provide(project, settings.stack, files)
    return (folder / COMPOSE_ENV).relative_to(project.root)


def compose(project: Project, settings: Settings, docker: Docker) -> Compose:
    """Return the stack's Compose project, rendered, on an engine that is reachable."""
    docker.choose(settings.engine.name)
    docker.check()
    return docker.compose(project_files(project, engine_settings.known(settings, docker)))


def check(project: Project, settings: Settings, docker: Docker) -> Settings:
    """Check what can be checked before the stack's images are built; return the settings as the engine resolves them.

    Raises:
        DevaiError: the stack can't start on this machine.
    """
    _check_files(project, settings)
    settings = engine_settings.known(settings, docker)
    work_dir.check(project, settings, docker)
    if not docker.dry:
        check_cores(settings, docker.describe().cpus)
        check_ports(settings, docker.compose(project_files(project, settings)).containers())
    return settings


def running_image(project: Project, settings: Settings, docker: Docker) -> str:
    """Return the image ID of the lab's container; empty if there is no container."""
    if docker.dry:
        return ""
    containers = docker.compose(project_files(project, settings)).containers()
    return next((container["image_id"] for container in containers if container["service"] == LAB), "")


def up(project: Project, settings: Settings, docker: Docker, *, recreate_all: bool = False) -> None:
    """Start the stack's services on this machine, and wait until they are healthy. Their images have to exist.

    Args:
        project: the project.
        settings: the settings that `check` has returned.
        docker: the engine.
        recreate_all: replace containers even if their definition has not changed.
    """
    services = rendering.services(settings)
    stack = docker.compose(project_files(project, settings))
    recreate: Recreate = "all" if recreate_all else "changed"
    restart_due = state.restart_due(project, settings.stack)
    if not docker.dry:
        folder_ownership.mark_folder(project, settings)  # another folder may have been started during the build
        _write_files(project, settings)
        if restart_due.exists():
            recreate = "all"  # containers keep the files that they were started with
        if obsolete := sorted({container["service"] for container in stack.containers()} - {*services}):
            stack.remove(obsolete)  # Compose keeps containers of services that are no longer configured
    if settings.engine.uid == 0:
        # The lab's regular container does not have the capabilities for that.
        stack.run_once(LAB, ["--take-home"], capabilities=["CHOWN", "DAC_OVERRIDE"])
    _start(project, stack, settings, recreate=recreate)
    if not docker.dry:
        restart_due.unlink(missing_ok=True)


def _write_files(project: Project, settings: Settings) -> None:
    """Write the files that containers mount; a change marks the stack as due for a restart."""
    work_dir.create(project, settings)
    work_dir.warn(project, settings)
    handover = secret_values.beside(project, settings, state.stored_secrets(project, settings.stack))
    secret_values.report_kept(handover.kept)
    changed = state.keep_secrets(project, settings.stack, handover.values, PROXIES)
    if settings.tls.local:
        changed |= tls.ensure_certificate(project, settings)
    if settings.engine.uid == 0 and not settings.engine.rootless:
        state.open_to_root(project, settings.stack)
    if changed:
        state.write(state.restart_due(project, settings.stack), "")


def start(project: Project, settings: Settings, docker: Docker) -> None:
    """Start existing containers unchanged, and wait until they are healthy.

    Raises:
        DevaiError: there are none, or the token or a secret has changed since they were created.
    """
    stack, command = compose(project, settings, docker), f"`inv up {settings.stack.flags}`"
    if not docker.dry and state.restart_due(project, settings.stack).exists():
        raise DevaiError(
            f"the token or a secret of {settings.stack} was replaced, and its containers still have the old one",
            hint=f"{command} recreates them",
            code="DEVAI-STACK-007",
        )
    if not docker.dry and not stack.containers():
        raise DevaiError(f"{settings.stack} has no containers", hint=f"{command} creates them")
    _start(project, stack, engine_settings.known(settings, docker), recreate="nothing")


def restart(project: Project, settings: Settings, docker: Docker, services: Sequence[str]) -> None:
    """Restart services unchanged; all if none is named."""
    stack = compose(project, settings, docker)
    work_dir.check_danger(project, settings)
    stack.restart(services)


def _start(project: Project, stack: Compose, settings: Settings, *, recreate: Recreate) -> None:
    # Checked again, because the engine resolves the folder's name when it mounts it.
    work_dir.check_danger(project, settings)
    with console.step(f"starting {settings.stack}"):
        podman = settings.engine.name == "podman"
        stack.up(timeout=START_SECONDS, wait=not podman, recreate=recreate)
        if podman and not stack.dry:
            with console.waiting("waiting until all services are healthy"):
                engine_settings.wait(stack, rendering.services(settings), seconds=START_SECONDS)


def _check_files(project: Project, settings: Settings) -> None:
    """Raise UsageError if a file of this machine that containers mount is missing or not readable for them."""
    if settings.image.ca_file and not (project.root / settings.image.ca_file).is_file():
        raise UsageError(
            f"image.ca_file: the file {settings.image.ca_file} does not exist",
            hint="create it, or change image.ca_file",
        )
    forwarder = project.root / rendering.FORWARDER
    # Root in a container may not read another user's file that is not readable for all.
    if forwarder.exists() and forwarder.stat().st_uid and not forwarder.stat().st_mode & stat.S_IROTH:
        raise UsageError(
            f"{forwarder} is not readable for containers", hint=f"`chmod a+r {rendering.FORWARDER}` makes it readable"
        )


def limits(settings: Settings) -> dict[str, Limits]:
    """Return the resource limits of each service of the stack, by configuration section."""
    sections_by_service = {LAB: "lab", OLLAMA: "ollama", CHROMA: "vector_store"}
    sections = [sections_by_service[service] for service in rendering.services(settings)]
    return {f"resources.{section}": getattr(settings.resources, section) for section in sections}


def check_cores(settings: Settings, available: int) -> None:
    """Raise DevaiError if a service's CPU limit exceeds the engine's cores: the engine would refuse to start it."""
    cores_by_section = {section: limit.cpu.millicores / 1000 for section, limit in limits(settings).items()}
    if 0 < available < (most := max(cores_by_section.values())):
        flags = " ".join(
            f"--set {section}.cpu={available}" for section, cores in cores_by_section.items() if cores > available
        )
        raise DevaiError(
            f"a service may use {most:g} cores and the engine has {available}",
            hint=f"`{flags}`, or in conf/personal.yaml",
            code="DEVAI-ENGINE-006",
        )


def check_ports(settings: Settings, running: Sequence[Mapping[str, Any]]) -> None:
    """Raise DevaiError if another program uses a port of the stack, or the machine does not have the bind address.

    Args:
        settings: those of the stack.
        running: the stack's own containers, as Compose lists them; their ports count as free.
    """
    own_ports = {address.rpartition(":")[2] for container in running for address in container["published"]}
    endpoints = {"lab": (settings.network.bind_address, settings.ports.lab)}
    if settings.ollama.mode == "container" and settings.ports.ollama:
        endpoints["ollama"] = ("127.0.0.1", settings.ports.ollama)
    for name, (address, port) in endpoints.items():
        if str(port) not in own_ports and _taken(address, port):
            reserved = {reserved_port for _, reserved_port in endpoints.values()}
            candidates = (free for free in range(port + 1, 65536) if free not in reserved and not _taken(address, free))
            free = next(candidates, "PORT")
            raise DevaiError(
                f"port {port} of {address} is in use by another program",
                hint=f"stop that program, or choose another port: `--set ports.{name}={free}`",
                code="DEVAI-ENGINE-007",
            )


def check_services(names: Sequence[str]) -> None:
    """Raise UsageError for an unknown service."""
    for name in names:
        if name not in SERVICES:
            raise UsageError(unknown("service", name, SERVICES))


def user(settings: Settings, docker: Docker) -> str:
    """Return the user that the lab's processes run as, as `uid:gid`."""
    settings = engine_settings.known(settings, docker)
    return f"{settings.engine.uid}:{settings.engine.gid}"


def link(project: Project, settings: Settings, docker: Docker) -> str:
    """Return the lab's URL with its token, to print or to send requests to the lab.

    Raises:
    DevaiError: the port does not belong to this stack's lab; another program that listens there would get the token.
    """
    _check_own(project, settings, docker)
    return f"{rendering.url(settings)}?token={state.token(project, settings.stack)}"


def _check_own(project: Project, settings: Settings, docker: Docker) -> None:
    """Raise DevaiError unless the engine publishes the lab's port for a running container of this stack."""
    docker.choose(settings.engine.name)
    folder_ownership.of_folder(project, settings).check()
    addresses = {f"{settings.network.bind_address}:{settings.ports.lab}"}
    if settings.network.bind_address == "0.0.0.0":  # noqa: S104 - compared only
        addresses.add(f":{settings.ports.lab}")  # the form that some versions of Podman report
    for row in docker.containers(naming.stack(settings)):
        if row["service"] == LAB and row["state"] == "running" and addresses & {*row["published"]}:
            return
    raise DevaiError(
        f"{settings.stack} does not run at {rendering.url(settings)}",
        hint=f"`inv up {settings.stack.flags}` starts the lab",
    )


def check_answers(settings: Settings) -> None:
    """Raise DevaiError if no program listens at the lab's address."""
    url = rendering.url(settings)
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname, address.port), timeout=ANSWER_SECONDS).close()
    except OSError as error:
        raise DevaiError(f"nothing answers at {url}", hint=f"`inv up {settings.stack.flags}` starts the lab") from error


def _taken(address: str, port: int) -> bool:
    """Whether a program listens on the port.

    Raises:
        UsageError: this machine doesn't have the address.
    """
    with socket.socket() as probe:
        # As the engine's own listener does: connections of a stack that was just stopped do not block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise UsageError(
                    f"network.bind_address: this machine has no address {address}", code="DEVAI-ENGINE-008"
                ) from error
            # Other errors do not count: the engine, unlike this process, may open a port below 1024.
            return error.errno == errno.EADDRINUSE
    return False
