"""Base images, held to a digest: what was tested is what is built on, whatever the tag says by then."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from devai_tasks.config.project import Project
from devai_tasks.errors import ConfigError, DevaiError, Problem
from devai_tasks.tools import registry

if TYPE_CHECKING:
    from devai_tasks.tools.images import Images

LOCK = "deploy/image/bases.lock"


@dataclass(frozen=True)
class Base:
    """An image to build on."""

    name: str
    source: str
    """Where it came from: `present`, `registry` or `debootstrap`."""
    digest: str
    """What the registry knows it by; empty for one that was made here."""


def pinned(project: Project, name: str) -> str:
    """A base image with the digest that it is held to; as it is where none is locked, or it has one already."""
    digest = _locked(project).get(name)
    return f"{name}@{digest}" if digest else name


def lock(project: Project, name: str, engine: Images) -> str:
    """Hold a base image to the digest that its registry has it by now; returns that.

    Raises DevaiError where no registry answers, or has no such image.
    """
    if engine.dry:
        engine.manifest(name)
        return ""
    if not registry.answers(name):
        raise DevaiError(f"{registry.host(name)} does not answer, so there is no digest to hold {name} to")
    found = engine.manifest(name)
    if found is None:
        raise DevaiError(f"{registry.host(name)} has no image {name}")
    locked = _locked(project) | {name: found.digest}
    (project.root / LOCK).write_text(json.dumps(locked, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return found.digest


def _locked(project: Project) -> dict[str, str]:
    file: Path = project.root / LOCK
    if not file.exists():
        return {}
    try:
        locked: dict[str, str] = dict(json.loads(file.read_text(encoding="utf-8")))
    except ValueError as error:
        raise ConfigError(
            [Problem(LOCK, "is no list of digests", "remove it; `inv image.base --lock` writes it")]
        ) from error
    return locked
