"""Build fingerprint of the lab's image: without a change, the image is not built again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from devai_tasks.config import image_names
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.targets.image import rendering

# The label that every image built by this project has.
LABEL = "io.devai.inputs"


def of(project: Project, settings: Settings) -> str:
    """Return the fingerprint of all build inputs in the project.

    A commit that changes none of the inputs keeps the fingerprint, and thus the image.
    """
    target = rendering.target(settings)
    for name in ("secret", "tags"):  # the path of certificates on this machine, and the image's names
        target.pop(name, None)
    digest = hashlib.sha256(json.dumps([target, image_names.pinned(settings, image_names.base(settings))]).encode())
    sources = [Path(target["dockerfile"]), Path(".dockerignore"), Path("requirements.txt")]
    copied = sorted((project.root / "deploy/image").rglob("*"))
    # .dockerignore leaves out Python's bytecode, too.
    sources += [file.relative_to(project.root) for file in copied if file.parent.name != "__pycache__"]
    for file in sources:
        if (project.root / file).is_file():
            digest.update(f"{file}\0".encode() + (project.root / file).read_bytes())
    return digest.hexdigest()[:16]


def of_image(described: Mapping[str, Any] | None) -> str:
    """Return the fingerprint in the labels of an image, as the engine describes it; empty if there is none."""
    return str(((described or {}).get("Config", {}).get("Labels") or {}).get(LABEL, ""))
