"""How the images of a stack are built: a definition for `docker buildx bake`."""

from __future__ import annotations

import json
from typing import Any

from devai_tasks.config.schema import Settings
from devai_tasks.render import Artefacts

FILE = "image/docker-bake.json"


def render(settings: Settings) -> Artefacts:
    """The bake file; paths in it are relative to the project, where bake runs."""
    lab_target = _target(
        dockerfile="Dockerfile.gpu" if settings.gpu.enabled else "Dockerfile",
        args={"BASE_SOURCE": "${BASE_SOURCE}", "PACKAGES": _packages(settings)},
        tag=lab(settings),
        settings=settings,
    )
    ollama_target = _target(
        dockerfile="deploy/image/ollama.Dockerfile",
        args={"OLLAMA_VERSION": settings.ollama.version},
        tag=settings.ollama.image,
        settings=settings,
    )
    bake = {
        # Where the base came from is known only when it is built on: `inv image.build` sets both.
        "variable": {"BASE_IMAGE": {"default": base(settings)}, "BASE_SOURCE": {"default": "registry"}},
        "target": {"lab": lab_target, "ollama": ollama_target},
    }
    return {FILE: json.dumps(bake, indent=2) + "\n"}


def lab(settings: Settings) -> str:
    """The name of the lab's image: each stack has its own, since its packages may differ."""
    suffix = "-gpu" if settings.gpu.enabled else ""
    return f"{settings.project.name}-lab:{settings.stack}{suffix}"


def base(settings: Settings) -> str:
    """The official base image."""
    return settings.image.base.gpu if settings.gpu.enabled else settings.image.base.name


def _packages(settings: Settings) -> str:
    return "gpu" if settings.gpu.enabled else settings.image.packages


def _target(*, dockerfile: str, args: dict[str, str], tag: str, settings: Settings) -> dict[str, Any]:
    target: dict[str, Any] = {
        "context": ".",
        "dockerfile": dockerfile,
        "args": {"BASE_IMAGE": "${BASE_IMAGE}", **args},
        "tags": [tag],
    }
    if settings.image.ca_file:
        target["secret"] = [f"id=ca,src={settings.image.ca_file}"]
    return target
