"""The images of a stack: taken where they are, pulled, or built on this machine."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from devai_tasks import console
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.errors import UsageError
from devai_tasks.render import image as definition
from devai_tasks.render import writer
from devai_tasks.tools import debootstrap, registry
from devai_tasks.tools.docker import Docker


def build(project: Project, settings: Settings, docker: Docker) -> None:
    """Build the lab's image on the base that the settings name."""
    bake = _definition(project, settings)
    base, source = base_image(settings, docker)
    console.say(f"base image: {base} ({source})")
    # The label says what may not be pushed: an official image that is present came from a registry once.
    made = "registry" if base == definition.base(settings) else "debootstrap"
    docker.bake(bake, "lab", {"BASE_IMAGE": base, "BASE_SOURCE": made})


def provide_ollama(project: Project, settings: Settings, docker: Docker) -> None:
    """Have the image of the stack's own Ollama."""
    image = settings.ollama.image

    def build_from_source() -> None:
        base, _ = base_image(settings, docker)
        console.say(f"Ollama {settings.ollama.version} is built from source: some minutes, once")
        docker.bake(_definition(project, settings), "ollama", {"BASE_IMAGE": base})

    source = _obtain(image, _wanted(settings, settings.ollama.source), docker, "build", build_from_source)
    console.say(f"Ollama's image: {image} ({source})")


def base_image(settings: Settings, docker: Docker) -> tuple[str, str]:
    """The image to build on, and where it came from: `present`, `registry` or `debootstrap`."""
    official = definition.base(settings)
    wanted = _wanted(settings, settings.image.base.source)
    local = local_base(official)
    if (
        local
        and wanted != "registry"
        and not (wanted == "auto" and docker.has_image(official))
        and docker.has_image(local)
    ):
        return local, "debootstrap"

    def bootstrap() -> None:
        if not local:
            raise UsageError(f"{official} can't be built here: debootstrap makes Debian only; set image.base.source")
        with console.step(f"building {local} by debootstrap"), tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
            archive = Path(folder) / "base.tar"
            debootstrap.build(local.partition(":")[2], archive, dry=docker.dry)
            docker.import_archive(archive, local, {"io.devai.base.source": "debootstrap"})

    source = _obtain(official, wanted, docker, "debootstrap", bootstrap)
    return (local, source) if local and source == "debootstrap" else (official, source)


def local_base(official: str) -> str | None:
    """The name of the local stand-in for a base image of Debian, such as devai-base:trixie; None for other systems."""
    match = re.fullmatch(r"(?:docker\.io/)?(?:library/)?debian:([a-z]+)(?:-slim)?", official)
    return f"devai-base:{match[1]}" if match else None


def _wanted(settings: Settings, source: str) -> str:
    """Where an image is to come from: only this machine's own stacks may run what was built in its place."""
    return "registry" if source == "auto" and settings.stack.cloud != "local" else source


def _obtain(image: str, wanted: str, docker: Docker, way: str, build: Callable[[], None]) -> str:
    """Have an image by the way that is wanted; says which way it was (`way` is what `build` is called).

    `auto` is for machines of every kind: what is there, the registry if one answers, else a build on this machine.
    """
    if docker.dry:
        return "not looked for"
    if wanted in ("auto", "registry") and docker.has_image(image):
        return "present"
    if wanted == "registry" or (wanted == "auto" and registry.answers(image)):
        with console.step(f"pulling {image}"):
            docker.pull(image)
        return "registry"
    if wanted == "auto":
        console.say(f"{registry.host(image)} does not answer; {image} is replaced by a local build")
    build()
    return way


def _definition(project: Project, settings: Settings) -> Path:
    folder = writer.write(definition.render(settings), project.artefacts(settings.stack))
    return (folder / definition.FILE).relative_to(project.root)
