"""What the lab's image is made of: while that is the same, there is nothing to build."""

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

# On every image that is built here.
LABEL = "io.devai.inputs"


def of(project: Project, settings: Settings) -> str:
    """A fingerprint of all that a build takes from the project: while it is the same, there is nothing to build.

    A commit that changes none of it makes no other image.
    """
    target = rendering.target(settings)
    for name in ("secret", "tags"):  # where certificates are on this machine, and what the image is called there
        target.pop(name, None)
    digest = hashlib.sha256(json.dumps([target, image_names.pinned(settings, image_names.base(settings))]).encode())
    sources = [Path(target["dockerfile"]), Path(".dockerignore"), Path("requirements.txt")]
    sources += [file.relative_to(project.root) for file in sorted((project.root / "deploy/image").rglob("*"))]
    for file in sources:
        if (project.root / file).is_file():
            digest.update(f"{file}\0".encode() + (project.root / file).read_bytes())
    return digest.hexdigest()[:16]


def made_of(described: Mapping[str, Any] | None) -> str:
    """The fingerprint on an image, as the engine describes it; empty where there is none."""
    return str(((described or {}).get("Config", {}).get("Labels") or {}).get(LABEL, ""))
