"""What this machine has for a stack: an engine, disk, memory, ports, a GPU."""

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
# That of Docker's bridge, unless its configuration says otherwise.
BRIDGE = "172.17.0.1"
AMD_DEVICE = Path("/dev/kfd")
# Where the Container Device Interface has its specifications.
DEVICES = (Path("/etc/cdi"), Path("/var/run/cdi"))
# The oldest that the lab was run on.
PODMAN_LEAST = (4, 3)
# Images that a registry is asked for.
_BASES = tuple(("image", "base", name) for name in ("name", "cuda13", "cuda12"))
# Below it nothing can be built or written with confidence.
LEAST_DISK = GIB
# What building takes, with the layers between and the base: docs/performance.md has the images' own sizes.
_BUILD = {"minimal": 2 * GIB, "standard": 3 * GIB, "full": 5 * GIB}
_BUILD_GPU = 20 * GIB
# Ollama's own image and a small model.
_OLLAMA = 4 * GIB


def machine(project: Project, own: Configuration, docker: Docker) -> list[Check]:
    """The engine first: without one, what only it knows is not looked at."""
    settings = own.settings
    engine: Engine | None = None
    kind = "docker"
    try:
        docker.choose(settings.engine.name)
        engine = docker.describe()
        kind, _ = docker.kind()
    except DevaiError as error:
        wanted = f"{'.'.join(map(str, DOCKER.least))} or newer"
        found = [Check("engine", "engine", State.FAILED, error.message, wanted, error.hint)]
    else:
        found = [
            version(engine, kind),
            cores(settings, engine),
            memory(settings, engine),
            engine_disk(settings, engine),
        ]
        unvisited = own.why_unvisited(*_BASES)
        found.append(_unvisited("base image", unvisited) if unvisited else base(settings, docker))
    found.append(disk("project disk", project.root, LEAST_DISK))
    found += gpu(settings, engine, programs.gpus(), kind)
    if settings.compute.uses_compose:
        running: Sequence[Mapping[str, Any]] = []
        if engine:
            owner = folder_ownership.of_folder(project, settings)
            found.append(of_owner("engine", owner, bad=State.FAILED, task="up"))
            running = docker.containers(naming.stack(settings)) if owner.claim is not Claim.FOREIGN else []
        found += [ports(settings, running), work_folder(project, settings)]
        found += user(known(settings, docker)) if engine else []
        if settings.ollama.mode != "container":
            unvisited = own.why_unvisited(("ollama", "url")) if settings.ollama.mode == "external" else ""
            found.append(_unvisited("Ollama", unvisited) if unvisited else ollama(settings, engine))
    return found


def _unvisited(name: str, reason: str) -> Check:
    """What stands in place of a look at an address."""
    return Check("engine", name, State.UNNEEDED, f"not looked at: {reason}")


def version(engine: Engine, kind: str = "docker") -> Check:
    """Whether the engine, Docker's or Podman's, is new enough."""
    least = PODMAN_LEAST if kind == "podman" else DOCKER.least
    wanted = f"{'.'.join(map(str, least))} or newer"
    if programs.parse(engine.version) >= least:
        name = "Podman " if kind == "podman" else ""
        return Check("engine", "engine", State.OK, f"{name}{engine.version} on {engine.system}", wanted)
    return Check("engine", "engine", State.FAILED, f"{engine.version} is too old", wanted, DOCKER.install)


def cores(settings: Settings, engine: Engine) -> Check:
    """Whether the engine gives a container as many cores as its limit says: more than it has, it refuses."""
    if not settings.compute.uses_compose:
        return Check("engine", "cores", State.UNNEEDED, str(engine.cpus))
    try:
        compose.check_cores(settings, engine.cpus)
    except DevaiError as error:
        return Check("engine", "cores", State.FAILED, error.message, "as many", error.hint)
    return Check("engine", "cores", State.OK, str(engine.cpus), "as many as any service may use")


def memory(settings: Settings, engine: Engine) -> Check:
    """Whether what the services may use fits: where it doesn't, the machine's own limit ends them before theirs."""
    if not settings.compute.uses_compose:
        return Check("engine", "memory", State.UNNEEDED, gibibytes(engine.memory))
    limits = compose.limits(settings)
    wanted = sum(limit.memory.bytes for limit in limits.values())
    found, shown = gibibytes(engine.memory), f"{gibibytes(wanted)}, the limits of all services"
    if wanted <= engine.memory:
        return Check("engine", "memory", State.OK, found, shown)
    hint = f"lower {' or '.join(f'{section}.memory' for section in limits)}, in conf/personal.yaml"
    return Check("engine", "memory", State.ADVICE, found, shown, hint)


def engine_disk(settings: Settings, engine: Engine) -> Check:
    """Room for images and volumes. Docker Desktop keeps them in a machine of its own, where nobody looks from here."""
    if "Desktop" in engine.system or not engine.root.exists():
        return Check("engine", "engine disk", State.UNNEEDED, f"{engine.root} is not on this machine")
    wanted = _BUILD_GPU if settings.gpu.enabled else _BUILD[settings.image.packages]
    if settings.compute.uses_compose and settings.ollama.is_bundled:
        wanted += _OLLAMA
    return disk("engine disk", engine.root, wanted)


def disk(name: str, folder: Path, wanted: int) -> Check:
    """Free room in a folder's file system; below LEAST_DISK nothing works."""
    free = shutil.disk_usage(folder).free
    state = State.OK if free >= wanted else State.ADVICE if free >= LEAST_DISK else State.FAILED
    hint = "" if state is State.OK else "`inv image.prune` and `docker system prune` remove what nothing uses"
    return Check("engine", name, state, f"{gibibytes(free)} free in {folder}", f"{gibibytes(wanted)} or more", hint)


def base(settings: Settings, docker: Docker) -> Check:
    """Where the image that the lab's is built on comes from."""
    named = image_names.base(settings)
    official, local = image_names.pinned(settings, named), building.local_base(named)
    if docker.has_image(official):
        return Check("engine", "base image", State.OK, f"{official} is here")
    source = building.wanted_source(settings, settings.image.base.source)
    if source != "registry" and local and docker.has_image(local):
        return Check("engine", "base image", State.OK, f"{local} is here, made by debootstrap")
    if source != "debootstrap" and registry.answers(official):
        fix = Fix(f"pulled {official}", lambda: docker.pull(official))
        return Check("engine", "base image", State.OK, f"{registry.host(official)} answers and has it", fix=fix)
    if source != "registry" and local:
        if debootstrap.present():
            found = f"{registry.host(official)} does not answer; debootstrap will make {local}"
            return Check("engine", "base image", State.OK, found)
        found, hint = f"{registry.host(official)} does not answer", "`sudo apt-get install debootstrap` makes one here"
        return Check("engine", "base image", State.FAILED, found, official, hint)
    hint = "a network that reaches it, or an image.base of your own"
    return Check("engine", "base image", State.FAILED, f"{registry.host(official)} does not answer", official, hint)


def gpu(settings: Settings, engine: Engine | None, found: Sequence[str], kind: str = "docker") -> list[Check]:
    """The driver on this machine, and NVIDIA's toolkit in the engine: for GPU stacks of this machine."""
    amd = AMD_DEVICE.exists()
    what = ", ".join(found) or (f"one of AMD's, {AMD_DEVICE}" if amd else "none, or no driver")
    if not settings.gpu.enabled or not settings.compute.uses_compose:
        return [Check("engine", "GPU", State.UNNEEDED, what)]
    if settings.gpu.vendor == "amd":
        # What the ROCm variant of Ollama opens.
        state = State.OK if amd else State.FAILED
        hint = "https://rocm.docs.amd.com has the driver, amdgpu"
        return [Check("engine", "GPU", state, f"{AMD_DEVICE} {'is' if amd else 'is not'} there", "", hint)]
    driver = "https://www.nvidia.com/drivers has the driver; without a GPU, leave gpu.enabled and --gpu"
    hint = "`--set gpu.vendor=amd`, or gpu.vendor in conf/personal.yaml" if amd else driver
    checks = [Check("engine", "GPU", *((State.OK, what) if found else (State.FAILED, what, "one of NVIDIA's", hint)))]
    return [*checks, toolkit(engine, kind)] if engine else checks


def toolkit(engine: Engine, kind: str) -> Check:
    """Whether NVIDIA's toolkit has told the engine of the GPUs: Docker by a runtime, Podman by their names."""
    if kind == "podman":
        files = [file for folder in DEVICES for file in folder.glob("*.*") if os.access(file, os.R_OK)]
        there = any("nvidia.com/gpu" in file.read_text(encoding="utf-8") for file in files)
        command = "`sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`"
    else:
        there = "nvidia" in engine.runtimes or bool(shutil.which("nvidia-container-runtime-hook"))
        command = "`sudo nvidia-ctk runtime configure --runtime=docker` and `sudo systemctl restart docker`"
    if there:
        return Check("engine", "GPU toolkit", State.OK, "in the engine")
    hint = f"install NVIDIA's container toolkit, then {command}"
    return Check("engine", "GPU toolkit", State.FAILED, "not in the engine", "there", hint)


def ports(settings: Settings, running: Sequence[Mapping[str, Any]]) -> Check:
    """Whether the stack's ports are free, or its own."""
    ollama = settings.ports.ollama if settings.ollama.is_bundled else None
    shown = ", ".join(str(port) for port in (settings.ports.lab, ollama) if port)
    try:
        compose.check_ports(settings, running)
    except DevaiError as error:
        return Check("engine", "ports", State.FAILED, error.message, "free", error.hint)
    return Check("engine", "ports", State.OK, f"{shown}: {'held by this stack' if running else 'free'}")


def work_folder(project: Project, settings: Settings) -> Check:
    """The folder that the lab shows as ~/work: it has to be there, yours, and for notebooks only."""
    folder = project.root / settings.storage.work_dir
    if danger := work_dir.danger(project, settings):
        state = State.ADVICE if settings.storage.allow_unsafe_work_dir else State.FAILED
        hint = "`inv config.set --set=storage.work_dir=work`, and move the notebooks there"
        if state is State.FAILED:
            hint += "; or storage.allow_unsafe_work_dir, if it is meant"
        return Check("engine", "work folder", state, f"{folder}: {danger}", "a folder of its own", hint)
    if work_dir.is_created(project, settings):
        return Check("engine", "work folder", State.OK, f"`inv up` creates {folder}")
    if found := work_dir.obeyed(project, settings):
        return Check("engine", "work folder", State.ADVICE, found, "notebooks only", work_dir.SAFELY)
    if folder.is_dir() and os.access(folder, os.W_OK):
        return Check("engine", "work folder", State.OK, str(folder))
    what, hint = (f"{folder} can't be written to", "") if folder.is_dir() else (f"there is no {folder}", "make it, or ")
    hint += "name another folder in storage.work_dir"
    return Check("engine", "work folder", State.FAILED, what, "a folder of yours", hint)


def user(settings: Settings) -> list[Check]:
    """Whether the lab is this machine's root: what it leaves in the work folder is root's, with setuid, too."""
    own = settings.engine
    if own.uid != 0 or own.rootless:
        return []
    found = "root, without capabilities: programs that a notebook leaves in the work folder may run as root"
    hint = "run the tasks as a user, or name one in engine.uid and engine.gid"
    return [Check("engine", "lab's user", State.ADVICE, found, "a user of this machine", hint)]


def ollama(settings: Settings, engine: Engine | None) -> Check:
    """The server that the stack uses and does not run."""
    url = compose_models.url(settings)
    # What the lab reaches, this machine may not.
    state = State.FAILED if settings.ollama.mode == "host" else State.ADVICE
    try:
        there = Ollama(url, compose_models.start_hint(settings)).models()
    except DevaiError:
        return Check(
            "engine", "Ollama", state, f"none answers at {url}", "a server", compose_models.start_hint(settings)
        )
    found = f"answers at {url}, with {len(there)} models"
    if settings.ollama.mode == "host" and engine and _keeps_to_itself(url, engine):
        hint = f"OLLAMA_HOST={ollama_server.bridge() or BRIDGE} in its environment (`sudo systemctl edit ollama`)"
        return Check("engine", "Ollama", State.ADVICE, f"{found}, and not to containers", "one that does", hint)
    return Check("engine", "Ollama", State.OK, found)


def _keeps_to_itself(url: str, engine: Engine) -> bool:
    """Whether who listens there refuses containers, which come from outside but where Docker Desktop leads them in."""
    if sys.platform != "linux" or "Desktop" in engine.system:
        return False
    # Without Docker's bridge: all of 127.0.0.0/8 is this machine, and Ollama listens at one address of it by default.
    return not ollama_server.listens(ollama_server.bridge() or "127.0.0.2", urlsplit(url).port or 80)
