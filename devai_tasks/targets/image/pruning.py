"""Unused images of this project, left by builds and pushes."""

from __future__ import annotations

from devai_tasks.config import image_names
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.engine.images import Images
from devai_tasks.targets.image import publishing

_NONE = "<none>"


def find(project: Project, settings: Settings, engine: Images) -> list[str]:
    """Return the project's unused images: those without a name, and those with registry names of other commits.

    Images in use are left out: those with a stack's local name, those of the current commit, and those of containers,
    such as a running lab whose image has lost its name to a newer build.
    """
    current = publishing.names(project, settings)
    kept = {current.name, *current.mutable}
    unused, used = [], engine.used()
    for row in engine.names(f"io.devai.project={settings.project.name}"):
        name = f"{row['Repository']}:{row['Tag']}"
        if row["ID"] in used:
            continue
        if row["Repository"] == _NONE:
            unused.append(row["ID"])
        elif (
            row["Repository"] == image_names.registry_repository(settings) and name not in kept and row["Tag"] != _NONE
        ):
            unused.append(name)
    return sorted(set(unused))
