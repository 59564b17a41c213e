"""Images of others, pinned to a digest: what was tested is what runs, whatever the tag says by then."""

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
# Where version 0.1 had the digests of base images.
_FORMER = "deploy/image/bases.lock"


@dataclass(frozen=True)
class Base:
    """An image to build on."""

    name: str
    source: str
    """Where it came from: `present`, `registry` or `debootstrap`."""
    digest: str
    """What the registry knows it by; empty for one that was made here."""


def check_former(project: Project) -> None:
    """Raise UsageError for digests in the file that had them once: nothing would be pinned to them."""
    if (project.root / _FORMER).exists():
        raise UsageError(
            f"{_FORMER} is not read any more",
            hint=f"`inv image.lock --only=images` writes {PINS} instead. Then remove it",
        )


def lock(project: Project, names: Sequence[str], engine: Images) -> list[str]:
    """Pin images to the digests that their registries have them by now; returns the pins.

    Nothing is written unless all of them are known. Raises DevaiError where a registry does not answer, or has no such
    image.
    """
    pins = [f"{name}@{digest}" for name in names if (digest := _digest(name, engine))]
    if engine.dry:
        return pins
    file = project.root / PINS
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    known = document.read(file, PINS).tree.get("pins") if text else None
    others = [str(pin) for pin in known or () if str(pin).partition("@")[0] not in names]
    writer.replace_file(file, edit.edited(text, [(("pins",), [*sorted([*others, *pins])])]))
    return pins


def _digest(name: str, engine: Images) -> str:
    """The digest that an image's registry has it by; none under `--dry`."""
    if not engine.dry and not registry.answers(name):
        raise DevaiError(
            f"{registry.host(name)} does not answer, so {name} has no digest to be pinned to; no pin was changed",
            hint="`inv image.lock --only=packages` and `--only=tools` need no image registry",
            code="DEVAI-IMAGE-001",
        )
    found = engine.manifest(name)
    if engine.dry:
        return ""
    if found is None:
        raise DevaiError(f"{registry.host(name)} has no image {name}; no pin was changed")
    return found.digest
