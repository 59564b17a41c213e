"""Names of images: in the container engine, in the stack's registry, and those of third parties."""

from __future__ import annotations

from dataclasses import replace

from devai_tasks.config.schema import Settings

# The end of the names of images for NVIDIA GPUs.
GPU_SUFFIX = "-gpu"


def ollama(settings: Settings) -> str:
    """Return the image that the bundled Ollama runs: a local build where one is recorded, else the official one."""
    return settings.ollama.built or pinned(settings, official_ollama(settings))


def built_ollama(settings: Settings) -> str:
    """Return the name of the local build, whose version is not that of the official image."""
    return f"devai-ollama:{settings.ollama.build_version}"


def official_ollama(settings: Settings) -> str:
    """Return Ollama's official image: for AMD GPUs with another tag, unless it names one for them or a digest."""
    name = settings.ollama.image
    rocm = settings.gpu.enabled and settings.gpu.vendor == "amd" and "rocm" not in name and "@" not in name
    return f"{name}-rocm" if rocm else name


def pinned(settings: Settings, name: str) -> str:
    """Return an image with the digest that it is pinned to; as it is where `pins` has none for it."""
    return next((pin for pin in settings.pins if pin.partition("@")[0] == name), name)


def lab(settings: Settings) -> str:
    """Return the name of the lab's image in the engine; each stack has its own, since its packages may differ."""
    return f"{engine_repository(settings)}:{settings.stack}{gpu_suffix(settings)}"


def engine_repository(settings: Settings) -> str:
    """Return the repository of the lab's images in the engine, for all stacks of a project."""
    return f"{settings.project.name}-lab"


def registry_repository(settings: Settings) -> str:
    """Return the repository of the lab's image in the stack's registry."""
    return f"{settings.image.registry}/{settings.project.name}-lab"


def pushed_lab(settings: Settings) -> str:
    """Return the lab's image as a cloud pulls it: by the digest that was pushed."""
    return f"{registry_repository(settings)}@{settings.image_digest}"


def immutable_tag(settings: Settings, revision: str) -> str:
    """Return the tag that is never reused: version, revision (empty without git), and whether it is for GPUs."""
    return f"{settings.image.version}{f'-{revision}' if revision else ''}{gpu_suffix(settings)}"


def mutable_tags(settings: Settings) -> tuple[str, ...]:
    """Return the tags that move to what is pushed last."""
    return tuple(f"{name}{gpu_suffix(settings)}" for name in settings.image.tags)


def base(settings: Settings) -> str:
    """Return the official base image."""
    if not settings.gpu.uses_cuda:
        return settings.image.base.name
    return settings.image.base.cuda13 if settings.image.gpu.cuda == "13" else settings.image.base.cuda12


def third_party(settings: Settings) -> list[str]:
    """Return the third-party images that the stack may run or build on, unless named by digest."""
    bases, amd = settings.image.base, replace(settings.gpu, enabled=True, vendor="amd")
    ollamas = (settings.ollama.image, official_ollama(replace(settings, gpu=amd)))
    return sorted({name for name in (bases.name, bases.cuda12, bases.cuda13, *ollamas) if "@" not in name})


def gpu_suffix(settings: Settings) -> str:
    """Return the end of the names of images for NVIDIA GPUs; empty for others."""
    return GPU_SUFFIX if settings.gpu.uses_cuda else ""
