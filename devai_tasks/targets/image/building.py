"""Images of a stack: existing ones are used, others are pulled or built on this machine."""

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

# The modification time of all files in an image, if the builder supports that: the earliest time in zip files. With the
# commit's time instead, each commit would change every layer, which would have to be pushed and pulled again.
EPOCH = 315532800


@dataclass(frozen=True)
class Options:
    """Options of one build."""

    platforms: tuple[str, ...] = ()
    """Target platforms; empty for the engine's platform."""
    cache_from: str = ""
    cache_to: str = ""
    fresh: bool = False
    """Whether every step is run again, without the cache."""
    one_time: bool = False
    """Whether all files get the same time, if the builder supports it, so that equal files have an equal digest."""

    @property
    def is_multi_platform(self) -> bool:
        """Whether the result is a multi-platform image, which most engines can't store."""
        return len(self.platforms) > 1


def options(platform: str, cache_from: str, cache_to: str, *, fresh: bool = False) -> Options:
    """Return the options for the given flags.

    Raises:
        UsageError: a platform is not valid.
    """
    platforms = tuple(platform.split(",")) if platform else ()
    for name in platforms:
        if not re.fullmatch(r"linux/[a-z0-9]+(/v\d+)?", name):
            raise UsageError(
                f"--platform={platform}: {name!r} is not a platform", hint="use names such as linux/amd64,linux/arm64"
            )
    return Options(platforms, cache_from, cache_to, fresh=fresh, one_time=True)


def build(
    project: Project, settings: Settings, docker: Docker, build_options: Options | None = None, *, push: str = ""
) -> None:
    """Build the lab's image on the configured base image, and load it into the engine.

    With `push`, the name of an image in a registry, the image is pushed there instead. Without `push`, a multi-platform
    image stays in the builder's cache, because most engines can't store it.
    """
    build_options = build_options or Options()
    _check_platforms(build_options, docker)
    base = base_image(project, settings, docker)
    console.say(f"base image: {base.name} ({base.source})")
    # Without the builder's attestations, which contain times, so that each build would have a different digest.
    facts = {"BASE_IMAGE": base.name, **_facts(project, settings, base), "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
    hidden = _hidden(project, settings, docker)
    overrides = _overrides(settings, build_options)
    one_time = (
        build_options.one_time
        and not docker.dry
        and docker.rewrites_times(direct=bool(push) or build_options.is_multi_platform)
    )
    if build_options.one_time and not docker.dry:
        console.say(
            "all files get the same time: builds of the same commit have the same digest"
            if one_time
            else "this builder does not rewrite file times: builds of the same commit differ in their digests only"
        )
    if one_time:
        overrides["args.SOURCE_DATE_EPOCH"] = str(EPOCH)
    rewritten = ",rewrite-timestamp=true" if one_time else ""
    bake = _definition(project, settings)  # after the base image, which takes time: another task may render meanwhile
    if push:
        docker.bake(bake, "lab", facts, overrides | {"tags": push, "output": f"type=registry{rewritten}"}, hidden)
    elif build_options.is_multi_platform:
        docker.bake(bake, "lab", facts, overrides | {"output": "type=cacheonly"}, hidden)
    elif one_time:
        with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
            archive = Path(folder) / "lab.tar"
            docker.bake(bake, "lab", facts, overrides | {"output": f"type=docker,dest={archive}{rewritten}"}, hidden)
            docker.load(archive)
    else:
        docker.bake(bake, "lab", facts, overrides, hidden)


def _hidden(project: Project, settings: Settings, docker: Docker) -> dict[str, str]:
    """Return the bake variables that are never printed."""
    return {} if docker.dry else secret_values.proxies(project, settings)


def _facts(project: Project, settings: Settings, base: pins.BaseImage) -> dict[str, str]:
    """Return the bake variables for the image's labels."""
    revision = git.revision(project.root)
    known = {
        "REVISION": f"{revision.commit}{'-dirty' if revision.dirty else ''}" if revision else "",
        "CREATED": revision.time if revision else "",
        "SOURCE": revision.source if revision else "",
    }
    return {
        # The label marks images that must not be pushed. A present official image was pulled from a registry earlier.
        "BASE_SOURCE": "debootstrap" if base.name == local_base(image_names.base(settings)) else "registry",
        "BASE_DIGEST": base.digest,
        "VERSION": settings.image.version,
        "INPUTS": fingerprint.of(project, settings),
        **known,
    }


def ensure_current(project: Project, settings: Settings, docker: Docker) -> Mapping[str, Any]:
    """Build the stack's image unless it matches the current inputs; return it as the engine describes it."""
    engine = Images(dry=docker.dry)
    if image := None if docker.dry else current(project, settings, engine):
        console.say(f"{image_names.lab(settings)}: up to date")
        return image
    build(project, settings, docker)
    return built(settings, engine)


def current(project: Project, settings: Settings, engine: Images) -> Mapping[str, Any] | None:
    """Return the stack's image as the engine describes it; None if it is missing or built from other inputs."""
    image = engine.inspect(image_names.lab(settings))
    return image if fingerprint.of_image(image) == fingerprint.of(project, settings) else None


def ensure(project: Project, settings: Settings, docker: Docker, *, running: str = "") -> None:
    """Build the stack's image unless the existing one may be run.

    The name alone is not enough, because another folder with the same project name may have built the image. It has to
    match the current inputs, or be the one that was pushed or pulled here, or have the ID `running`.
    """
    if docker.dry:
        return
    lab, recorded = image_names.lab(settings), settings.image_digest
    image = Images().inspect(lab)
    if image is not None:
        recorded_here = any(name.endswith(f"@{recorded}") for name in image.get("RepoDigests") or ())
        if recorded_here or image["Id"] == running or fingerprint.of_image(image) == fingerprint.of(project, settings):
            return
        console.say(f"{lab}: built from other inputs than the current ones, and not pushed or pulled here")
    build(project, settings, docker)


def ensure_all(project: Project, settings: Settings, docker: Docker, *, running: str = "") -> Settings:
    """Make the images of all services of a stack available on this machine; return the settings with Ollama's image.

    `running` is the ID of the image that the lab runs now and may keep: see `ensure`.
    """
    if settings.ollama.is_bundled:
        settings = ensure_ollama(project, settings, docker)
    if settings.vector_store.kind == "chroma":
        ensure_chroma(project, settings, docker)
    ensure(project, settings, docker, running=running)
    return settings


def _overrides(settings: Settings, options: Options) -> dict[str, str]:
    """Return what the options override in the bake target."""
    overrides = {}
    if options.fresh:
        overrides["no-cache"] = "true"
    if options.platforms:
        overrides["platform"] = ",".join(options.platforms)
    if options.cache_from:
        overrides["cache-from"] = rendering.cache(settings, options.cache_from)
    if options.cache_to:
        overrides["cache-to"] = rendering.cache(settings, options.cache_to, to=True)
    return overrides


def _check_platforms(options: Options, docker: Docker) -> None:
    """Raise DevaiError for a platform that the builder does not support."""
    if not options.platforms or docker.dry:
        return
    supported = docker.platforms()
    if missing := [name for name in options.platforms if name not in supported]:
        raise DevaiError(
            f"this builder supports {', '.join(supported)}, but not {', '.join(missing)}: the machine has no "
            "emulation for it",
            hint="install emulation (`docker run --privileged --rm tonistiigi/binfmt --install all`, or the package "
            "qemu-user-binfmt), or use another builder (`docker buildx create --use`)",
        )


def ensure_ollama(project: Project, settings: Settings, docker: Docker) -> Settings:
    """Make the bundled Ollama's image available, and record a local build; return the settings with the image."""
    named, local = image_names.official_ollama(settings), image_names.built_ollama(settings)
    official = image_names.pinned(settings, named)

    def build_from_source() -> None:
        base = base_image(project, settings, docker)
        console.say(f"building Ollama {settings.ollama.build_version} from source (takes some minutes, only once)")
        docker.bake(
            _definition(project, settings),
            "ollama",
            {"BASE_IMAGE": base.name},
            hidden=_hidden(project, settings, docker),
        )

    # A local build supports the CPU only, so images for GPUs are always pulled.
    image_source = "registry" if named != settings.ollama.image else effective_source(settings, settings.ollama.source)
    source = _ensure(official, image_source, docker, "build", build_from_source, local=local)
    if docker.dry:
        return settings
    built = local if source == "build" else ""
    if built != settings.ollama.built:
        state.record(project, settings.stack, {"ollama.built": built})
    settings = replace(settings, ollama=replace(settings.ollama, built=built))
    console.say(f"Ollama's image: {image_names.ollama(settings)} ({source})")
    return settings


def ensure_chroma(project: Project, settings: Settings, docker: Docker) -> None:
    """Make the image of the stack's vector store available."""
    image = settings.vector_store.image

    def build_from_package() -> None:
        base = base_image(project, settings, docker)
        hidden = _hidden(project, settings, docker)
        docker.bake(_definition(project, settings), "chroma", {"BASE_IMAGE": base.name}, hidden=hidden)

    source = _ensure(
        image, effective_source(settings, settings.vector_store.source), docker, "build", build_from_package
    )
    console.say(f"Chroma's image: {image} ({source})")


def base_image(project: Project, settings: Settings, docker: Docker) -> pins.BaseImage:
    """Return the base image; a missing one is pulled or built, as configured."""
    pins.check_former(project)
    named = image_names.base(settings)
    official = image_names.pinned(settings, named)
    image_source = effective_source(settings, settings.image.base.source)
    local = local_base(named)
    if (
        local
        and image_source != "registry"
        and not (image_source == "auto" and docker.has_image(official))
        and docker.has_image(local)
    ):
        return pins.BaseImage(local, "debootstrap", "")

    def bootstrap() -> None:
        if not local:
            key = f"image.base.cuda{settings.image.gpu.cuda}"
            raise UsageError(
                f"{official} can't be built on this machine: debootstrap supports Debian only",
                hint=f"without a registry, `--set {key}=debian:trixie-slim` builds an image that works except for CUDA"
                if settings.gpu.uses_cuda
                else "change image.base.source",
            )
        with console.step(f"building {local} by debootstrap"), tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
            archive = Path(folder) / "base.tar"
            debootstrap.build(local.partition(":")[2], archive, dry=docker.dry)
            docker.import_archive(archive, local, {"io.devai.base.source": "debootstrap"})

    source = _ensure(official, image_source, docker, "debootstrap", bootstrap)
    if local and source == "debootstrap":
        return pins.BaseImage(local, source, "")
    return pins.BaseImage(official, source, docker.digest(official))


def local_base(official: str) -> str | None:
    """Return the name of the local substitute for a Debian base image, such as devai-base:trixie; None for others."""
    match = re.fullmatch(r"(?:docker\.io/)?(?:library/)?debian:([a-z]+)(?:-slim)?", official)
    return f"devai-base:{match[1]}" if match else None


def built(settings: Settings, engine: Images) -> Mapping[str, Any]:
    """Return the stack's image as the engine describes it; an empty mapping under `--dry`.

    Raises:
        UsageError: the image has not been built.
    """
    image = engine.inspect(image_names.lab(settings))
    if engine.dry:
        return {}
    if image is None:
        raise UsageError(
            f"the image {image_names.lab(settings)} does not exist yet", hint="`inv image.build` builds it"
        )
    return image


def effective_source(settings: Settings, source: str) -> str:
    """Return the source of an image; a local substitute is allowed only for stacks on this machine."""
    return "registry" if source == "auto" and not settings.compute.uses_compose else source


def _ensure(  # noqa: PLR0913 - an image, and the ways to get it
    image: str, source: str, docker: Docker, build_source: str, build: Callable[[], None], *, local: str = ""
) -> str:
    """Make an image available, and return its actual source.

    Args:
        image: the image's name.
        source: the configured source. `auto` uses an existing image, else the registry if it answers, else a local
            build.
        docker: the engine.
        build_source: the name of the source `build`.
        build: builds the image on this machine.
        local: the name of a local build, if it differs from `image`; an existing one is not built again.
    """
    if docker.dry:
        return "not checked"
    if source in ("auto", "registry") and docker.has_image(image):
        return "present"
    if source == "registry" or (source == "auto" and registry.answers(image)):
        with console.step(f"pulling {image}"):
            docker.pull(image)
        return "registry"
    if source == "auto":
        replacement = f"{local}, a local build" if local else "a local build"
        console.say(f"{registry.host(image)} does not answer; {image} is replaced by {replacement}")
        if local and docker.has_image(local):
            return build_source
    build()
    return build_source


def _definition(project: Project, settings: Settings) -> Path:
    folder = artifacts.provide(project, settings.stack, lambda _: rendering.render(settings))
    return (folder / BAKE).relative_to(project.root)
