"""Third-party images, pinned to digests, so that the tested image runs even if its tag has moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from devai_tasks.config import document, edit
from devai_tasks.config.project import Project
from devai_tasks.engine import registry
from devai_tasks.system.errors import DevaiError, UsageError
from devai_tasks.workspace import writer

if TYPE_CHECKING:
    from devai_tasks.engine.images import Images

PINS = "conf/common/pins.yaml"
# The file in which version 0.1 kept the digests of base images.
FORMER_PINS = "deploy/image/bases.lock"


@dataclass(frozen=True)
class BaseImage:
    """A base image."""

    name: str
    source: str
    """Origin of the image: `present`, `registry` or `debootstrap`."""
    digest: str
    """Digest in the registry; empty for an image that was built on this machine."""


def check_former(project: Project) -> None:
    """Raise UsageError if digests are still in the file of version 0.1, which has no effect any more."""
    if (project.root / FORMER_PINS).exists():
        raise UsageError(
            f"{FORMER_PINS} is no longer used",
            hint=f"`inv config.migrate` moves the digests to {PINS}",
        )


def lock(project: Project, names: Sequence[str], engine: Images) -> list[str]:
    """Pin images to their current digests in their registries; return the pins.

    Nothing is written unless all digests are known.

    Raises:
        DevaiError: a registry does not answer, or has no such image.
    """
    pins = [f"{name}@{digest}" for name in names if (digest := _digest(name, engine))]
    if engine.dry:
        return pins
    file = project.root / PINS
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    current = document.read(file, PINS).tree.get("pins") if text else None
    unchanged = [str(pin) for pin in current or () if str(pin).partition("@")[0] not in names]
    writer.replace_file(file, edit.edited(text, [(("pins",), [*sorted([*unchanged, *pins])])]))
    return pins


def _digest(name: str, engine: Images) -> str:
    """Return the digest of an image in its registry; empty under `--dry`."""
    if not engine.dry and not registry.answers(name):
        raise DevaiError(
            f"{registry.host(name)} does not answer, so {name} can't be pinned to a digest; no pin was changed",
            hint="`inv image.lock --only=packages` and `--only=tools` need no image registry",
            code="DEVAI-IMAGE-001",
        )
    manifest = engine.manifest(name)
    if engine.dry:
        return ""
    if manifest is None:
        raise DevaiError(f"{registry.host(name)} has no image {name}; no pin was changed")
    return manifest.digest
