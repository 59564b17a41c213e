"""How the images of a stack are built: a definition for `docker buildx bake`."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from devai_tasks.config.schema import Settings
from devai_tasks.config.secrets import PROXIES
from devai_tasks.config.targets import BAKE, cuda, digest
from devai_tasks.render import Artefacts, Artifact, texts

# What only the build knows, for the image's labels: base and revision.
FACTS = ("BASE_DIGEST", "BASE_SOURCE", "CREATED", "INPUTS", "REVISION", "SOURCE", "VERSION")

# The end of the names of images for NVIDIA's GPUs.
GPU = "-gpu"

# Where the lab listens in its container, unless it is told otherwise.
PORT = 8888

# Gives a command in a running lab the lab's environment: deploy/image/lab-env.sh.
AS_THE_LAB_DOES = ("lab-env",)


def _bake(settings: Settings) -> str:
    """Return the bake file; paths in it are relative to the project, where bake runs."""
    ollama_target = _target(
        dockerfile="deploy/image/ollama.Dockerfile",
        args={"OLLAMA_VERSION": settings.ollama.build_version},
        tag=built_ollama(settings),
        settings=settings,
    )
    chroma_target = _target(
        dockerfile="deploy/image/chroma.Dockerfile", args={}, tag=settings.vector_store.image, settings=settings
    )
    bake = {
        "variable": {name: {"default": value} for name, value in _defaults(settings).items()},
        "target": {"lab": target(settings), "ollama": ollama_target, "chroma": chroma_target},
    }
    return json.dumps(bake, indent=2) + "\n"


ARTIFACTS = (Artifact(BAKE, _bake),)


def render(settings: Settings) -> Artefacts:
    """Return the bake file."""
    return texts(ARTIFACTS, settings)


def target(settings: Settings) -> dict[str, Any]:
    """How the lab's image is built."""
    return _target(
        dockerfile="Dockerfile.gpu" if cuda(settings) else "Dockerfile",
        args={
            "PACKAGES": packages(settings),
            "TOOLS": " ".join(sorted(set(settings.image.tools))),
            "COMPILERS": str(settings.image.compilers).lower(),
            **{name: f"${{{name}}}" for name in FACTS},
        },
        tag=lab(settings),
        settings=settings,
    )


def ollama(settings: Settings) -> str:
    """The image that the stack's Ollama runs: a local build where one is noted, else the official one."""
    return settings.ollama.built or pinned(settings, official_ollama(settings))


def built_ollama(settings: Settings) -> str:
    """The local build from source: its version is not that of the official image, so neither has the other's name."""
    return f"devai-ollama:{settings.ollama.build_version}"


def official_ollama(settings: Settings) -> str:
    """Ollama's official image: for AMD's GPUs another tag, unless one is named that is for them or a digest."""
    name = settings.ollama.image
    rocm = settings.gpu.enabled and settings.gpu.vendor == "amd" and "rocm" not in name and "@" not in name
    return f"{name}-rocm" if rocm else name


def pinned(settings: Settings, name: str) -> str:
    """An image with the digest that it is pinned to; as it is where none is known, or it has one already."""
    return next((pin for pin in settings.pins if pin.partition("@")[0] == name), name)


def lab(settings: Settings) -> str:
    """The name of the lab's image in the engine: each stack has its own, since its packages may differ."""
    return f"{engine_repository(settings)}:{settings.stack}{_suffix(settings)}"


def engine_repository(settings: Settings) -> str:
    """What the names of the lab's images in the engine have in common, for all stacks of a project."""
    return f"{settings.project.name}-lab"


def repository(settings: Settings) -> str:
    """Where the lab's image is in the stack's registry."""
    return f"{settings.image.registry}/{settings.project.name}-lab"


def pushed(settings: Settings) -> str:
    """The lab's image as a cloud pulls it: by digest, so that it is the very one that was pushed."""
    return f"{repository(settings)}@{digest(settings)}"


def tag(settings: Settings, revision: str) -> str:
    """The tag that never moves: version, revision (empty without git), and whether it is for GPUs."""
    return f"{settings.image.version}{f'-{revision}' if revision else ''}{_suffix(settings)}"


def moving_tags(settings: Settings) -> tuple[str, ...]:
    """The tags that go to whatever was pushed last."""
    return tuple(f"{name}{_suffix(settings)}" for name in settings.image.tags)


def base(settings: Settings) -> str:
    """The official base image."""
    if not cuda(settings):
        return settings.image.base.name
    return settings.image.base.cuda13 if settings.image.gpu.cuda == "13" else settings.image.base.cuda12


def official(settings: Settings) -> list[str]:
    """The images of others that the stack may run or build on, with GPUs and without; no one that has its digest."""
    bases, amd = settings.image.base, replace(settings.gpu, enabled=True, vendor="amd")
    ollamas = (settings.ollama.image, official_ollama(replace(settings, gpu=amd)))
    return sorted({name for name in (bases.name, bases.cuda12, bases.cuda13, *ollamas) if "@" not in name})


def packages(settings: Settings) -> str:
    """The locked set of Python packages: `deploy/image/requirements/<set>.lock`."""
    return f"cuda{settings.image.gpu.cuda}" if cuda(settings) else settings.image.packages


def cache(settings: Settings, where: str, *, to: bool = False) -> str:
    """What BuildKit takes for a cache: `registry` for the stack's own, a folder, or its own words (`type=…`)."""
    if where.startswith("type="):
        return where
    if where == "registry":
        # As an ordinary manifest: Amazon ECR takes no other.
        extent = ",mode=max,image-manifest=true,oci-mediatypes=true" if to else ""
        return f"type=registry,ref={repository(settings)}:buildcache{_suffix(settings)}{extent}"
    return f"type=local,dest={where},mode=max" if to else f"type=local,src={where}"


def _suffix(settings: Settings) -> str:
    return GPU if cuda(settings) else ""


def _defaults(settings: Settings) -> dict[str, str]:
    """The variables of the bake file, as they are for `docker buildx bake` by hand; `inv image.build` sets them all."""
    known = {
        "BASE_IMAGE": pinned(settings, base(settings)),
        "BASE_SOURCE": "registry",
        "VERSION": settings.image.version,
    }
    return {"BASE_IMAGE": "", **dict.fromkeys((*FACTS, *PROXIES), ""), **known}


def _target(*, dockerfile: str, args: dict[str, str], tag: str, settings: Settings) -> dict[str, Any]:
    target: dict[str, Any] = {
        "context": ".",
        "dockerfile": dockerfile,
        "args": {
            "BASE_IMAGE": "${BASE_IMAGE}",
            **args,
            # BuildKit tells its steps and keeps them out of the image. Empty, they would hide what the client tells.
            **{name: f'${{{name} != "" ? {name} : null}}' for name in PROXIES},
        },
        "tags": [tag],
        "labels": {"io.devai.project": settings.project.name},
    }
    if settings.image.ca_file:
        target["secret"] = [f"id=ca,src={settings.image.ca_file}"]
    return target
