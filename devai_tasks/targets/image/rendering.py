"""How the images of a stack are built: a definition for `docker buildx bake`."""

from __future__ import annotations

import json
from typing import Any

from devai_tasks.config import image_names
from devai_tasks.config.schema import Settings
from devai_tasks.config.secrets import PROXIES
from devai_tasks.targets.base import Artifact, texts
from devai_tasks.workspace.writer import Artifacts

BAKE = "image/docker-bake.json"

# What only the build knows, for the image's labels: base and revision.
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
    """How the lab's image is built."""
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
    """The locked set of Python packages: `deploy/image/requirements/<set>.lock`."""
    return f"cuda{settings.image.gpu.cuda}" if settings.gpu.uses_cuda else settings.image.packages


def cache(settings: Settings, where: str, *, to: bool = False) -> str:
    """What BuildKit takes for a cache: `registry` for the stack's own, a folder, or its own words (`type=…`)."""
    if where.startswith("type="):
        return where
    if where == "registry":
        # As an ordinary manifest: Amazon ECR takes no other.
        extent = ",mode=max,image-manifest=true,oci-mediatypes=true" if to else ""
        name = f"{image_names.registry_repository(settings)}:buildcache{image_names.gpu_suffix(settings)}"
        return f"type=registry,ref={name}{extent}"
    return f"type=local,dest={where},mode=max" if to else f"type=local,src={where}"


def _defaults(settings: Settings) -> dict[str, str]:
    """The variables of the bake file, as they are for `docker buildx bake` by hand; `inv image.build` sets them all."""
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
            # BuildKit tells its steps and keeps them out of the image. Empty, they would hide what the client tells.
            **{name: f'${{{name} != "" ? {name} : null}}' for name in PROXIES},
        },
        "tags": [tag],
        "labels": {"io.devai.project": settings.project.name},
    }
    if settings.image.ca_file:
        target["secret"] = [f"id=ca,src={settings.image.ca_file}"]
    return target
