"""Checks of this machine: container engine, disk, memory, ports, GPU, work folder, Ollama."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from devai_tasks.config import image_names, naming
from devai_tasks.config.configuration import Configuration
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.engine import debootstrap, registry
from devai_tasks.engine.docker import Docker, Engine
from devai_tasks.models import ollama as ollama_server
from devai_tasks.models.ollama import Ollama
from devai_tasks.stack.doctor.checks import Check, Fix, State, gibibytes, of_owner
from devai_tasks.stack.doctor.programs import DOCKER
from devai_tasks.system import programs
from devai_tasks.system.errors import DevaiError
from devai_tasks.targets.compose import deployment as compose
from devai_tasks.targets.compose import models as compose_models
from devai_tasks.targets.compose import ownership as folder_ownership
from devai_tasks.targets.compose.engine_settings import known
from devai_tasks.targets.image import building
from devai_tasks.workspace import work_dir
from devai_tasks.workspace.ownership import Claim

GIB = 2**30
# Default address of Docker's bridge.
BRIDGE = "172.17.0.1"
AMD_DEVICE = Path("/dev/kfd")
# Folders with the specifications of the Container Device Interface (CDI).
DEVICES = (Path("/etc/cdi"), Path("/var/run/cdi"))
# The oldest version that was tested with the lab.
PODMAN_MIN_VERSION = (4, 3)
# Keys of the base images, for which a registry may be contacted.
_BASES = tuple(("image", "base", name) for name in ("name", "cuda13", "cuda12"))
# With less free space, builds and writes are likely to fail.
MIN_FREE_DISK = GIB
# Free space for a build, with intermediate layers and the base image; docs/performance.md has the image sizes.
_BUILD = {"minimal": 2 * GIB, "standard": 3 * GIB, "full": 5 * GIB}
_BUILD_GPU = 20 * GIB
# Ollama's image and a small model.
_OLLAMA = 4 * GIB


def machine(project: Project, configuration: Configuration, docker: Docker) -> list[Check]:
    """Return the checks of this machine; without an engine, the checks that need it are left out."""
    settings = configuration.settings
    engine: Engine | None = None
    kind = "docker"
    try:
        docker.choose(settings.engine.name)
        engine = docker.describe()
        kind, _ = docker.kind()
    except DevaiError as error:
        required = f"{'.'.join(map(str, DOCKER.least))} or newer"
        checks = [Check("engine", "engine", State.FAILED, error.message, required, error.hint)]
    else:
        checks = [
            version(engine, kind),
            cores(settings, engine),
            memory(settings, engine),
            engine_disk(settings, engine),
        ]
        unvisited = configuration.why_unvisited(*_BASES)
        checks.append(_unvisited("base image", unvisited) if unvisited else base(settings, docker))
    checks.append(disk("project disk", project.root, MIN_FREE_DISK))
    checks += gpu(settings, engine, programs.gpus(), kind)
    if settings.compute.uses_compose:
        running: Sequence[Mapping[str, Any]] = []
        if engine:
            owner = folder_ownership.of_folder(project, settings)
            checks.append(of_owner("engine", owner, bad=State.FAILED, task="up"))
            running = docker.containers(naming.stack(settings)) if owner.claim is not Claim.FOREIGN else []
        checks += [ports(settings, running), work_folder(project, settings)]
        checks += user(known(settings, docker)) if engine else []
        if settings.ollama.mode != "container":
            unvisited = configuration.why_unvisited(("ollama", "url")) if settings.ollama.mode == "external" else ""
            checks.append(_unvisited("Ollama", unvisited) if unvisited else ollama(settings, engine))
    return checks


def _unvisited(name: str, reason: str) -> Check:
    """Return the placeholder for a check whose address is not contacted."""
    return Check("engine", name, State.UNNEEDED, f"not checked: {reason}")


def version(engine: Engine, kind: str = "docker") -> Check:
    """Check the version of the engine, Docker or Podman."""
    least = PODMAN_MIN_VERSION if kind == "podman" else DOCKER.least
    required = f"{'.'.join(map(str, least))} or newer"
    if programs.parse(engine.version) >= least:
        name = "Podman " if kind == "podman" else ""
        return Check("engine", "engine", State.OK, f"{name}{engine.version} on {engine.system}", required)
    return Check("engine", "engine", State.FAILED, f"{engine.version} is too old", required, DOCKER.install)


def cores(settings: Settings, engine: Engine) -> Check:
    """Check that no limit exceeds the cores of the engine, which would refuse to start the container."""
    if not settings.compute.uses_compose:
        return Check("engine", "cores", State.UNNEEDED, str(engine.cpus))
    try:
        compose.check_cores(settings, engine.cpus)
    except DevaiError as error:
        return Check("engine", "cores", State.FAILED, error.message, "as many", error.hint)
    return Check("engine", "cores", State.OK, str(engine.cpus), "as many as the limit of each service")


def memory(settings: Settings, engine: Engine) -> Check:
    """Check that the memory limits of all services fit; otherwise the kernel may kill them below their limits."""
    if not settings.compute.uses_compose:
        return Check("engine", "memory", State.UNNEEDED, gibibytes(engine.memory))
    limits = compose.limits(settings)
    total = sum(limit.memory.bytes for limit in limits.values())
    found, required = gibibytes(engine.memory), f"{gibibytes(total)}, the limits of all services"
    if total <= engine.memory:
        return Check("engine", "memory", State.OK, found, required)
    hint = f"lower {' or '.join(f'{section}.memory' for section in limits)} in conf/personal.yaml"
    return Check("engine", "memory", State.ADVICE, found, required, hint)


def engine_disk(settings: Settings, engine: Engine) -> Check:
    """Check the free space for images and volumes, which Docker Desktop keeps in its own virtual machine."""
    if "Desktop" in engine.system or not engine.root.exists():
        return Check("engine", "engine disk", State.UNNEEDED, f"{engine.root} is not on this machine")
    required = _BUILD_GPU if settings.gpu.enabled else _BUILD[settings.image.packages]
    if settings.compute.uses_compose and settings.ollama.is_bundled:
        required += _OLLAMA
    return disk("engine disk", engine.root, required)


def disk(name: str, folder: Path, required: int) -> Check:
    """Check the free space, in bytes, in a folder's file system; below MIN_FREE_DISK the check fails."""
    free = shutil.disk_usage(folder).free
    state = State.OK if free >= required else State.ADVICE if free >= MIN_FREE_DISK else State.FAILED
    hint = "" if state is State.OK else "`inv image.prune` and `docker system prune` remove unused images"
    return Check("engine", name, state, f"{gibibytes(free)} free in {folder}", f"{gibibytes(required)} or more", hint)


def base(settings: Settings, docker: Docker) -> Check:
    """Check where the base image of the lab's image comes from."""
    name = image_names.base(settings)
    official, local = image_names.pinned(settings, name), building.local_base(name)
    if docker.has_image(official):
        return Check("engine", "base image", State.OK, f"{official} exists")
    source = building.effective_source(settings, settings.image.base.source)
    if source != "registry" and local and docker.has_image(local):
        return Check("engine", "base image", State.OK, f"{local} exists, built by debootstrap")
    if source != "debootstrap" and registry.answers(official):
        fix = Fix(f"pulled {official}", lambda: docker.pull(official))
        return Check("engine", "base image", State.OK, f"{registry.host(official)} answers and has it", fix=fix)
    if source != "registry" and local:
        if debootstrap.present():
            found = f"{registry.host(official)} does not answer; debootstrap will build {local}"
            return Check("engine", "base image", State.OK, found)
        found, hint = (
            f"{registry.host(official)} does not answer",
            "`sudo apt-get install debootstrap` allows building one here",
        )
        return Check("engine", "base image", State.FAILED, found, official, hint)
    hint = "connect to a network that reaches it, or set image.base to another image"
    return Check("engine", "base image", State.FAILED, f"{registry.host(official)} does not answer", official, hint)


def gpu(settings: Settings, engine: Engine | None, gpus: Sequence[str], kind: str = "docker") -> list[Check]:
    """Check the GPU driver on this machine and NVIDIA's toolkit in the engine, for GPU stacks of this machine.

    `gpus` are the NVIDIA GPUs that the driver reports.
    """
    amd = AMD_DEVICE.exists()
    found = ", ".join(gpus) or (f"AMD GPU, {AMD_DEVICE}" if amd else "no GPU, or no driver")
    if not settings.gpu.enabled or not settings.compute.uses_compose:
        return [Check("engine", "GPU", State.UNNEEDED, found)]
    if settings.gpu.vendor == "amd":
        # The device that the ROCm variant of Ollama opens.
        state = State.OK if amd else State.FAILED
        hint = "install the driver amdgpu: https://rocm.docs.amd.com"
        return [Check("engine", "GPU", state, f"{AMD_DEVICE} {'exists' if amd else 'is missing'}", "", hint)]
    driver = "install the driver: https://www.nvidia.com/drivers; without a GPU, disable gpu.enabled and --gpu"
    hint = "`--set gpu.vendor=amd`, or gpu.vendor in conf/personal.yaml" if amd else driver
    checks = [Check("engine", "GPU", *((State.OK, found) if gpus else (State.FAILED, found, "an NVIDIA GPU", hint)))]
    return [*checks, toolkit(engine, kind)] if engine else checks


def toolkit(engine: Engine, kind: str) -> Check:
    """Check that NVIDIA's toolkit is configured: Docker needs its runtime, Podman its CDI device names."""
    if kind == "podman":
        files = [file for folder in DEVICES for file in folder.glob("*.*") if os.access(file, os.R_OK)]
        is_configured = any("nvidia.com/gpu" in file.read_text(encoding="utf-8") for file in files)
        command = "`sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`"
    else:
        is_configured = "nvidia" in engine.runtimes or bool(shutil.which("nvidia-container-runtime-hook"))
        command = "`sudo nvidia-ctk runtime configure --runtime=docker` and `sudo systemctl restart docker`"
    if is_configured:
        return Check("engine", "GPU toolkit", State.OK, "configured in the engine")
    hint = f"install NVIDIA's container toolkit, then {command}"
    return Check("engine", "GPU toolkit", State.FAILED, "not configured in the engine", "configured", hint)


def ports(settings: Settings, running: Sequence[Mapping[str, Any]]) -> Check:
    """Check that the stack's ports are free, or used by the stack itself."""
    ollama = settings.ports.ollama if settings.ollama.is_bundled else None
    shown = ", ".join(str(port) for port in (settings.ports.lab, ollama) if port)
    try:
        compose.check_ports(settings, running)
    except DevaiError as error:
        return Check("engine", "ports", State.FAILED, error.message, "free", error.hint)
    return Check("engine", "ports", State.OK, f"{shown}: {'used by this stack' if running else 'free'}")


def work_folder(project: Project, settings: Settings) -> Check:
    """Check the folder that the lab mounts as ~/work: it must exist, be writable, and contain only notebooks."""
    folder = project.root / settings.storage.work_dir
    if danger := work_dir.danger(project, settings):
        state = State.ADVICE if settings.storage.allow_unsafe_work_dir else State.FAILED
        hint = "`inv config.set --set=storage.work_dir=work`, then move the notebooks there"
        if state is State.FAILED:
            hint += "; or set storage.allow_unsafe_work_dir if this folder is intended"
        return Check("engine", "work folder", state, f"{folder}: {danger}", "a dedicated folder", hint)
    if work_dir.is_created(project, settings):
        return Check("engine", "work folder", State.OK, f"`inv up` creates {folder}")
    if found := work_dir.autoload_warning(project, settings):
        return Check("engine", "work folder", State.ADVICE, found, "notebooks only", work_dir.SAFELY)
    if folder.is_dir() and os.access(folder, os.W_OK):
        return Check("engine", "work folder", State.OK, str(folder))
    found, hint = (f"{folder} is not writable", "") if folder.is_dir() else (f"{folder} is missing", "create it, or ")
    hint += "name another folder in storage.work_dir"
    return Check("engine", "work folder", State.FAILED, found, "a writable folder", hint)


def user(settings: Settings) -> list[Check]:
    """Check that the lab does not run as this machine's root: its files, also setuid programs, would belong to root."""
    if settings.engine.uid != 0 or settings.engine.rootless:
        return []
    found = "root, without capabilities: programs that a notebook writes to the work folder may run as root"
    hint = "run the tasks as another user, or set engine.uid and engine.gid"
    return [Check("engine", "lab's user", State.ADVICE, found, "a user other than root", hint)]


def ollama(settings: Settings, engine: Engine | None) -> Check:
    """Check the Ollama server that the stack uses but does not run."""
    url = compose_models.url(settings)
    # The lab may reach a server that this machine does not reach.
    state = State.FAILED if settings.ollama.mode == "host" else State.ADVICE
    try:
        models = Ollama(url, compose_models.start_hint(settings)).models()
    except DevaiError:
        return Check("engine", "Ollama", state, f"no answer at {url}", "a server", compose_models.start_hint(settings))
    found = f"answers at {url}, with {len(models)} models"
    if settings.ollama.mode == "host" and engine and _refuses_containers(url, engine):
        hint = f"set OLLAMA_HOST={ollama_server.bridge() or BRIDGE} in its environment (`sudo systemctl edit ollama`)"
        return Check("engine", "Ollama", State.ADVICE, f"{found}, but not to containers", "answers to containers", hint)
    return Check("engine", "Ollama", State.OK, found)


def _refuses_containers(url: str, engine: Engine) -> bool:
    """Whether the server refuses containers, which reach it from another address except on Docker Desktop."""
    if sys.platform != "linux" or "Desktop" in engine.system:
        return False
    # Without Docker's bridge, another loopback address tells: Ollama listens at 127.0.0.1 only by default.
    return not ollama_server.listens(ollama_server.bridge() or "127.0.0.2", urlsplit(url).port or 80)
