"""The images of a stack: taken where they are, pulled, or built on this machine."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from devai_tasks.config import image_names
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.engine import debootstrap, registry
from devai_tasks.engine.docker import Docker
from devai_tasks.engine.images import Images
from devai_tasks.system import console, git
from devai_tasks.system.errors import DevaiError, UsageError
from devai_tasks.targets.image import fingerprint, pins, rendering
from devai_tasks.targets.image.rendering import BAKE
from devai_tasks.workspace import artifacts, secret_values, state

# The time that every file gets where a builder can do that: the earliest that zip files know. It is not the commit's,
# for then each commit would make every layer again, to be pushed and pulled again.
EPOCH = 315532800


@dataclass(frozen=True)
class Options:
    """How one build differs from another of the same stack."""

    platforms: tuple[str, ...] = ()
    """Empty for that of the engine."""
    cache_from: str = ""
    cache_to: str = ""
    fresh: bool = False
    """Make every step again, whatever a cache has."""
    one_time: bool = False
    """Give all files the same time where the builder can, so that equal files make an equal digest."""

    @property
    def several(self) -> bool:
        """Whether the result is an image of each platform and an index of them, which most engines can't keep."""
        return len(self.platforms) > 1


def options(platform: str, cache_from: str, cache_to: str, *, fresh: bool = False) -> Options:
    """The options that flags ask for. Raises UsageError for a platform that is none."""
    platforms = tuple(platform.split(",")) if platform else ()
    for name in platforms:
        if not re.fullmatch(r"linux/[a-z0-9]+(/v\d+)?", name):
            raise UsageError(f"--platform={platform}: {name!r} is no platform", hint="such as linux/amd64,linux/arm64")
    return Options(platforms, cache_from, cache_to, fresh=fresh, one_time=True)


def build(
    project: Project, settings: Settings, docker: Docker, wanted: Options | None = None, *, push: str = ""
) -> None:
    """Build the lab's image on the base that the settings name, into the engine.

    With `push`, the name of an image in a registry, it goes there instead. An image for several platforms stays with
    the builder otherwise, because most engines keep one.
    """
    wanted = wanted or Options()
    _check_platforms(wanted, docker)
    base = base_image(project, settings, docker)
    console.say(f"base image: {base.name} ({base.source})")
    # Attestations hold times: each build would have a digest of its own.
    facts = {"BASE_IMAGE": base.name, **_facts(project, settings, base), "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
    hidden = _hidden(project, settings, docker)
    own = _overrides(settings, wanted)
    one_time = wanted.one_time and not docker.dry and docker.rewrites_times(direct=bool(push) or wanted.several)
    if wanted.one_time and not docker.dry:
        console.say(
            "all files get one time: builds of one commit have one digest"
            if one_time
            else "this builder keeps files' times: builds of one commit have equal files, and digests of their own"
        )
    if one_time:
        own["args.SOURCE_DATE_EPOCH"] = str(EPOCH)
    rewritten = ",rewrite-timestamp=true" if one_time else ""
    bake = _definition(project, settings)  # not before the base is there: that takes its time, and others render, too
    if push:
        docker.bake(bake, "lab", facts, own | {"tags": push, "output": f"type=registry{rewritten}"}, hidden)
    elif wanted.several:
        docker.bake(bake, "lab", facts, own | {"output": "type=cacheonly"}, hidden)
    elif one_time:
        with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
            archive = Path(folder) / "lab.tar"
            docker.bake(bake, "lab", facts, own | {"output": f"type=docker,dest={archive}{rewritten}"}, hidden)
            docker.load(archive)
    else:
        docker.bake(bake, "lab", facts, own, hidden)


def _hidden(project: Project, settings: Settings, docker: Docker) -> dict[str, str]:
    """The variables of the bake file that nobody is shown."""
    return {} if docker.dry else secret_values.proxies(project, settings)


def _facts(project: Project, settings: Settings, base: pins.Base) -> dict[str, str]:
    """What the image's labels say."""
    revision = git.revision(project.root)
    known = {
        "REVISION": f"{revision.commit}{'-dirty' if revision.dirty else ''}" if revision else "",
        "CREATED": revision.time if revision else "",
        "SOURCE": revision.source if revision else "",
    }
    return {
        # The label says what may not be pushed: an official image that is present came from a registry once.
        "BASE_SOURCE": "debootstrap" if base.name == local_base(image_names.base(settings)) else "registry",
        "BASE_DIGEST": base.digest,
        "VERSION": settings.image.version,
        "INPUTS": fingerprint.of(project, settings),
        **known,
    }


def ensure_current(project: Project, settings: Settings, docker: Docker) -> Mapping[str, Any]:
    """Have the stack's image as its inputs are now; returns it as the engine describes it."""
    engine = Images(dry=docker.dry)
    if found := None if docker.dry else current(project, settings, engine):
        console.say(f"{image_names.lab(settings)}: present, and nothing that it is made of has changed")
        return found
    build(project, settings, docker)
    return built(settings, engine)


def current(project: Project, settings: Settings, engine: Images) -> Mapping[str, Any] | None:
    """The stack's image as the engine describes it; None where it lacks, or was made of other inputs than now."""
    found = engine.inspect(image_names.lab(settings))
    return found if fingerprint.made_of(found) == fingerprint.of(project, settings) else None


def ensure(project: Project, settings: Settings, docker: Docker, *, running: str = "") -> None:
    """Have an image of the stack's name that its lab may run.

    The name alone says nothing, for another folder with the same project may have built it. It is to be of the inputs
    as they are now, or the one that was pushed or pulled here, or that with the id `running`; any other is built again.
    """
    if docker.dry:
        return
    lab, recorded = image_names.lab(settings), settings.image_digest
    found = Images().inspect(lab)
    if found is not None:
        brought = any(name.endswith(f"@{recorded}") for name in found.get("RepoDigests") or ())
        if brought or found["Id"] == running or fingerprint.made_of(found) == fingerprint.of(project, settings):
            return
        console.say(f"{lab}: made of other inputs than now, and not what was pushed or pulled here")
    build(project, settings, docker)


def ensure_all(project: Project, settings: Settings, docker: Docker, *, running: str = "") -> Settings:
    """Have the images of all services of a stack on this machine; returns the settings that name Ollama's.

    `running` is the image that the lab runs now and may keep: see `ensure`.
    """
    if settings.ollama.is_bundled:
        settings = ensure_ollama(project, settings, docker)
    if settings.vector_store.kind == "chroma":
        ensure_chroma(project, settings, docker)
    ensure(project, settings, docker, running=running)
    return settings


def _overrides(settings: Settings, wanted: Options) -> dict[str, str]:
    """What the options change in the bake file's target."""
    own = {}
    if wanted.fresh:
        own["no-cache"] = "true"
    if wanted.platforms:
        own["platform"] = ",".join(wanted.platforms)
    if wanted.cache_from:
        own["cache-from"] = rendering.cache(settings, wanted.cache_from)
    if wanted.cache_to:
        own["cache-to"] = rendering.cache(settings, wanted.cache_to, to=True)
    return own


def _check_platforms(wanted: Options, docker: Docker) -> None:
    """Raise DevaiError for a platform that the builder can't build for."""
    if not wanted.platforms or docker.dry:
        return
    able = docker.platforms()
    if missing := [name for name in wanted.platforms if name not in able]:
        raise DevaiError(
            f"this builder can build for {', '.join(able)}, and not for {', '.join(missing)}: the machine has no "
            "emulation for it",
            hint="install that (`docker run --privileged --rm tonistiigi/binfmt --install all`, or the package "
            "qemu-user-binfmt), or use a builder that can (`docker buildx create --use`)",
        )


def ensure_ollama(project: Project, settings: Settings, docker: Docker) -> Settings:
    """Have the image of the stack's own Ollama, and note a local build; returns the settings that name the image."""
    named, local = image_names.official_ollama(settings), image_names.built_ollama(settings)
    official = image_names.pinned(settings, named)

    def build_from_source() -> None:
        base = base_image(project, settings, docker)
        console.say(f"Ollama {settings.ollama.build_version} is built from source: some minutes, once")
        docker.bake(
            _definition(project, settings),
            "ollama",
            {"BASE_IMAGE": base.name},
            hidden=_hidden(project, settings, docker),
        )

    # What is built here is for the CPU.
    wanted = "registry" if named != settings.ollama.image else wanted_source(settings, settings.ollama.source)
    source = _obtain(official, wanted, docker, "build", build_from_source, local=local)
    if docker.dry:
        return settings
    built = local if source == "build" else ""
    if built != settings.ollama.built:
        state.record(project, settings.stack, {"ollama.built": built})
    settings = replace(settings, ollama=replace(settings.ollama, built=built))
    console.say(f"Ollama's image: {image_names.ollama(settings)} ({source})")
    return settings


def ensure_chroma(project: Project, settings: Settings, docker: Docker) -> None:
    """Have the image of the stack's vector store."""
    image = settings.vector_store.image

    def build_from_package() -> None:
        base = base_image(project, settings, docker)
        hidden = _hidden(project, settings, docker)
        docker.bake(_definition(project, settings), "chroma", {"BASE_IMAGE": base.name}, hidden=hidden)

    source = _obtain(image, wanted_source(settings, settings.vector_store.source), docker, "build", build_from_package)
    console.say(f"Chroma's image: {image} ({source})")


def base_image(project: Project, settings: Settings, docker: Docker) -> pins.Base:
    """The image to build on: present, or brought by the way that the settings name."""
    pins.check_former(project)
    named = image_names.base(settings)
    official = image_names.pinned(settings, named)
    wanted = wanted_source(settings, settings.image.base.source)
    local = local_base(named)
    if (
        local
        and wanted != "registry"
        and not (wanted == "auto" and docker.has_image(official))
        and docker.has_image(local)
    ):
        return pins.Base(local, "debootstrap", "")

    def bootstrap() -> None:
        if not local:
            key = f"image.base.cuda{settings.image.gpu.cuda}"
            raise UsageError(
                f"{official} can't be built here: debootstrap makes Debian only",
                hint=f"where no registry answers, all but CUDA can be tried with `--set {key}=debian:trixie-slim`"
                if settings.gpu.uses_cuda
                else "set image.base.source",
            )
        with console.step(f"building {local} by debootstrap"), tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
            archive = Path(folder) / "base.tar"
            debootstrap.build(local.partition(":")[2], archive, dry=docker.dry)
            docker.import_archive(archive, local, {"io.devai.base.source": "debootstrap"})

    source = _obtain(official, wanted, docker, "debootstrap", bootstrap)
    if local and source == "debootstrap":
        return pins.Base(local, source, "")
    return pins.Base(official, source, docker.digest(official))


def local_base(official: str) -> str | None:
    """The name of the local stand-in for a base image of Debian, such as devai-base:trixie; None for other systems."""
    match = re.fullmatch(r"(?:docker\.io/)?(?:library/)?debian:([a-z]+)(?:-slim)?", official)
    return f"devai-base:{match[1]}" if match else None


def built(settings: Settings, engine: Images) -> Mapping[str, Any]:
    """The stack's image, as the engine describes it, nothing under `--dry`. Raises UsageError where it isn't built."""
    found = engine.inspect(image_names.lab(settings))
    if engine.dry:
        return {}
    if found is None:
        raise UsageError(f"there is no image {image_names.lab(settings)} yet", hint="`inv image.build` makes it")
    return found


def wanted_source(settings: Settings, source: str) -> str:
    """Where an image is to come from: only this machine's own stacks may run what was built in its place."""
    return "registry" if source == "auto" and not settings.compute.uses_compose else source


def _obtain(  # noqa: PLR0913 - an image, and the ways to it
    image: str, wanted: str, docker: Docker, way: str, build: Callable[[], None], *, local: str = ""
) -> str:
    """Have an image by the way that is wanted; says which way it was (`way` is what `build` is called).

    `auto` is for machines of every kind: what is there, the registry if one answers, else a build on this machine.
    `local` is the name of that build, where it has one of its own; one that is present is not built again.
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
        replacement = f"{local}, a local build" if local else "a local build"
        console.say(f"{registry.host(image)} does not answer; {image} is replaced by {replacement}")
        if local and docker.has_image(local):
            return way
    build()
    return way


def _definition(project: Project, settings: Settings) -> Path:
    folder = artifacts.provide(project, settings.stack, lambda _: rendering.render(settings))
    return (folder / BAKE).relative_to(project.root)
