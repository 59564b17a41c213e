"""The build definition of a stack's images, for `docker buildx bake`."""

from __future__ import annotations

import json
from typing import Any

from devai_tasks.config import image_names
from devai_tasks.config.schema import Settings
from devai_tasks.config.secrets import PROXIES
from devai_tasks.targets.base import Artifact, texts
from devai_tasks.workspace.writer import Artifacts

BAKE = "image/docker-bake.json"

# Variables for the image's labels whose values are known at build time only, such as base and revision.
FACTS = ("BASE_DIGEST", "BASE_SOURCE", "CREATED", "INPUTS", "REVISION", "SOURCE", "VERSION")


def _bake(settings: Settings) -> str:
    """Return the bake file; paths in it are relative to the project, where bake runs."""
    ollama_target = _target(
        dockerfile="deploy/image/ollama.Dockerfile",
        args={"OLLAMA_VERSION": settings.ollama.build_version},
        tag=image_names.built_ollama(settings),
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


def render(settings: Settings) -> Artifacts:
    """Return the bake file."""
    return texts(ARTIFACTS, settings)


def target(settings: Settings) -> dict[str, Any]:
    """Return the bake target of the lab's image."""
    return _target(
        dockerfile="Dockerfile.gpu" if settings.gpu.uses_cuda else "Dockerfile",
        args={
            "PACKAGES": packages(settings),
            "TOOLS": " ".join(sorted(set(settings.image.tools))),
            "COMPILERS": str(settings.image.compilers).lower(),
            **{name: f"${{{name}}}" for name in FACTS},
        },
        tag=image_names.lab(settings),
        settings=settings,
    )


def packages(settings: Settings) -> str:
    """Return the name of the locked package set in `deploy/image/requirements/<set>.lock`."""
    return f"cuda{settings.image.gpu.cuda}" if settings.gpu.uses_cuda else settings.image.packages


def cache(settings: Settings, where: str, *, to: bool = False) -> str:
    """Return a cache in BuildKit's notation.

    Args:
        settings: those of the stack.
        where: `registry` for the stack's registry, a folder, or BuildKit's own notation (`type=…`).
        to: whether the cache is written, not read.
    """
    if where.startswith("type="):
        return where
    if where == "registry":
        # As an image manifest, the only kind that Amazon ECR accepts.
        extent = ",mode=max,image-manifest=true,oci-mediatypes=true" if to else ""
        name = f"{image_names.registry_repository(settings)}:buildcache{image_names.gpu_suffix(settings)}"
        return f"type=registry,ref={name}{extent}"
    return f"type=local,dest={where},mode=max" if to else f"type=local,src={where}"


def _defaults(settings: Settings) -> dict[str, str]:
    """Return the defaults of the bake variables, for `docker buildx bake` by hand; `inv image.build` sets them all."""
    known = {
        "BASE_IMAGE": image_names.pinned(settings, image_names.base(settings)),
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
            # BuildKit passes proxy arguments to the build steps and keeps them out of the image. Empty ones would
            # override those of the client's configuration.
            **{name: f'${{{name} != "" ? {name} : null}}' for name in PROXIES},
        },
        "tags": [tag],
        "labels": {"io.devai.project": settings.project.name},
    }
    if settings.image.ca_file:
        target["secret"] = [f"id=ca,src={settings.image.ca_file}"]
    return target
