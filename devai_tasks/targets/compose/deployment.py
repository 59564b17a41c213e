"""A stack on this machine: brought up, taken down, found."""

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
    """Render what Compose needs; returns the environment file that names all of it."""
    override = (project.root / rendering.OVERRIDE).exists()
    files = partial(rendering.render, settings, override=override)
    folder = artifacts.provide(project, settings.stack, files)
    return (folder / COMPOSE_ENV).relative_to(project.root)


def compose(project: Project, settings: Settings, docker: Docker) -> Compose:
    """The stack's Compose project, rendered, on an engine that answers."""
    docker.choose(settings.engine.name)
    docker.check()
    return docker.compose(project_files(project, engine_settings.known(settings, docker)))


def check(project: Project, settings: Settings, docker: Docker) -> Settings:
    """Raise what keeps the stack from starting on this machine, and can be told before its images are built.

    Returns the settings with what the engine makes of them.
    """
    _check_files(project, settings)
    settings = engine_settings.known(settings, docker)
    work_dir.check(project, settings, docker)
    if not docker.dry:
        check_cores(settings, docker.describe().cpus)
        check_ports(settings, docker.compose(project_files(project, settings)).containers())
    return settings


def running_image(project: Project, settings: Settings, docker: Docker) -> str:
    """Return the ID of the image that the lab's container is of; empty where there is none."""
    if docker.dry:
        return ""
    containers = docker.compose(project_files(project, settings)).containers()
    return next((container["image_id"] for container in containers if container["service"] == LAB), "")


def up(project: Project, settings: Settings, docker: Docker, *, recreate_all: bool = False) -> None:
    """Start what the stack runs on this machine, and wait until it is healthy. Its images are there.

    Args:
        project: the project.
        settings: those that `check` has returned.
        docker: the engine.
        recreate_all: whether containers are replaced though nothing in their definition has changed.
    """
    wanted = rendering.services(settings)
    own = docker.compose(project_files(project, settings))
    recreate: Recreate = "all" if recreate_all else "changed"
    due = state.restart_due(project, settings.stack)
    if not docker.dry:
        folder_ownership.mark_folder(project, settings)  # builds take minutes, in which another folder may have come up
        _write_files(project, settings)
        if due.exists():
            recreate = "all"  # the files that containers see are those of their start
        if unwanted := sorted({container["service"] for container in own.containers()} - {*wanted}):
            own.remove(unwanted)  # Compose leaves alone what the configuration no longer wants
    if settings.engine.uid == 0:
        # The lab's own container has no capability to do so.
        own.run_once(LAB, ["--take-home"], capabilities=["CHOWN", "DAC_OVERRIDE"])
    _start(project, own, settings, recreate=recreate)
    if not docker.dry:
        due.unlink(missing_ok=True)


def _write_files(project: Project, settings: Settings) -> None:
    """Write what containers get as files; what has changed makes a restart due, until it is done."""
    work_dir.create(project, settings)
    work_dir.warn(project, settings)
    handover = secret_values.beside(project, settings, state.stored_secrets(project, settings.stack))
    secret_values.report_kept(handover.kept)
    changed = state.keep_secrets(project, settings.stack, handover.values, PROXIES)
    if settings.tls.local:
        changed |= tls.provide(project, settings)
    if settings.engine.uid == 0 and not settings.engine.rootless:
        state.open_to_root(project, settings.stack)
    if changed:
        state.write(state.restart_due(project, settings.stack), "")


def start(project: Project, settings: Settings, docker: Docker) -> None:
    """Start containers as they are, and wait until they are healthy.

    Raises DevaiError where there are none, or where they were made with a token or secret that is another one now.
    """
    own, command = compose(project, settings, docker), f"`inv up {settings.stack.flags}`"
    if not docker.dry and state.restart_due(project, settings.stack).exists():
        raise DevaiError(
            f"the token or a secret of {settings.stack} was replaced, and its containers still have the old one",
            hint=f"{command} recreates them",
            code="DEVAI-STACK-007",
        )
    if not docker.dry and not own.containers():
        raise DevaiError(f"{settings.stack} has no containers", hint=f"{command} makes them")
    _start(project, own, engine_settings.known(settings, docker), recreate="nothing")


def restart(project: Project, settings: Settings, docker: Docker, services: Sequence[str]) -> None:
    """Restart services as they are, all for none."""
    own = compose(project, settings, docker)
    work_dir.check_danger(project, settings)
    own.restart(services)


def _start(project: Project, own: Compose, settings: Settings, *, recreate: Recreate) -> None:
    # Again: by the folder's name, the engine mounts what has it now.
    work_dir.check_danger(project, settings)
    with console.step(f"starting {settings.stack}"):
        podman = settings.engine.name == "podman"
        own.up(timeout=START_SECONDS, wait=not podman, recreate=recreate)
        if podman and not own.dry:
            with console.waiting("waiting until all are healthy"):
                engine_settings.wait(own, rendering.services(settings), seconds=START_SECONDS)


def _check_files(project: Project, settings: Settings) -> None:
    """Raise UsageError where something of this machine that the lab is to have isn't there."""
    if settings.image.ca_file and not (project.root / settings.image.ca_file).is_file():
        raise UsageError(
            f"image.ca_file: there is no file {settings.image.ca_file}", hint="make it, name another, or none"
        )
    forwarder = project.root / rendering.FORWARDER
    # A container's root may not read what is another user's and closed.
    if forwarder.exists() and forwarder.stat().st_uid and not forwarder.stat().st_mode & stat.S_IROTH:
        raise UsageError(f"{forwarder} is closed to containers", hint=f"`chmod a+r {rendering.FORWARDER}` opens it")


def limits(settings: Settings) -> dict[str, Limits]:
    """The most that each service of the stack may use, by the section that says so."""
    own = {LAB: "lab", OLLAMA: "ollama", CHROMA: "vector_store"}
    sections = [own[service] for service in rendering.services(settings)]
    return {f"resources.{section}": getattr(settings.resources, section) for section in sections}


def check_cores(settings: Settings, there: int) -> None:
    """Raise where a service may use more cores than are there: the engine refuses to start it."""
    wanted = {section: limit.cpu.millicores / 1000 for section, limit in limits(settings).items()}
    if 0 < there < (most := max(wanted.values())):
        flags = " ".join(f"--set {section}.cpu={there}" for section, cores in wanted.items() if cores > there)
        raise DevaiError(
            f"a service may use {most:g} cores and the engine has {there}",
            hint=f"`{flags}`, or in conf/personal.yaml",
            code="DEVAI-ENGINE-006",
        )


def check_ports(settings: Settings, running: Sequence[Mapping[str, Any]]) -> None:
    """Raise where something else listens on a port of the stack, or the machine has no such address.

    `running` are the stack's own containers, as Compose lists them: what they hold, they may go on holding.
    """
    held = {address.rpartition(":")[2] for container in running for address in container["published"]}
    wanted = {"lab": (settings.network.bind_address, settings.ports.lab)}
    if settings.ollama.mode == "container" and settings.ports.ollama:
        wanted["ollama"] = ("127.0.0.1", settings.ports.ollama)
    for name, (address, port) in wanted.items():
        if str(port) not in held and _taken(address, port):
            others = {other for _, other in wanted.values()}
            candidates = (free for free in range(port + 1, 65536) if free not in others and not _taken(address, free))
            free = next(candidates, "PORT")
            raise DevaiError(
                f"port {port} of {address} is taken by another program",
                hint=f"stop that, or choose another port: `--set ports.{name}={free}`",
                code="DEVAI-ENGINE-007",
            )


def check_services(names: Sequence[str]) -> None:
    """Raise UsageError for a service that no stack has."""
    for name in names:
        if name not in SERVICES:
            raise UsageError(unknown("service", name, SERVICES))


def user(settings: Settings, docker: Docker) -> str:
    """Who the lab's processes run as, as `uid:gid`."""
    settings = engine_settings.known(settings, docker)
    return f"{settings.engine.uid}:{settings.engine.gid}"


def link(project: Project, settings: Settings, docker: Docker) -> str:
    """The address of the lab, with its token: for the person's terminal, and for requests to the lab.

    Raises DevaiError where it is not this stack's own lab that has the port: whoever listens there in its place would
    get the token.
    """
    _check_own(project, settings, docker)
    return f"{rendering.url(settings)}?token={state.token(project, settings.stack)}"


def _check_own(project: Project, settings: Settings, docker: Docker) -> None:
    """Raise DevaiError unless the engine publishes the lab's port for a running container of the stack's own."""
    docker.choose(settings.engine.name)
    folder_ownership.of_folder(project, settings).check()
    addresses = {f"{settings.network.bind_address}:{settings.ports.lab}"}
    if settings.network.bind_address == "0.0.0.0":  # noqa: S104 - compared only
        addresses.add(f":{settings.ports.lab}")  # as some versions of Podman report it
    for row in docker.containers(naming.stack(settings)):
        if row["service"] == LAB and row["state"] == "running" and addresses & {*row["published"]}:
            return
    raise DevaiError(
        f"{settings.stack} does not run at {rendering.url(settings)}",
        hint=f"`inv up {settings.stack.flags}` starts the lab",
    )


def check_answers(settings: Settings) -> None:
    """Raise DevaiError where nothing listens at the lab's address."""
    url = rendering.url(settings)
    place = urlsplit(url)
    try:
        socket.create_connection((place.hostname, place.port), timeout=ANSWER_SECONDS).close()
    except OSError as error:
        raise DevaiError(f"nothing answers at {url}", hint=f"`inv up {settings.stack.flags}` starts the lab") from error


def _taken(address: str, port: int) -> bool:
    """Whether something listens there. Raises UsageError for an address that this machine doesn't have."""
    with socket.socket() as probe:
        # As the engine's own listener does: connections of a stack just taken down are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise UsageError(
                    f"network.bind_address: this machine has no address {address}", code="DEVAI-ENGINE-008"
                ) from error
            # Anything else is not for this probe to judge: the engine may open a port below 1024.
            return error.errno == errno.EADDRINUSE
    return False
