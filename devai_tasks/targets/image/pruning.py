"""Images of this project that builds and pushes have left behind."""

from __future__ import annotations

from devai_tasks.config import image_names
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.engine.images import Images
from devai_tasks.targets.image import publishing

_NONE = "<none>"


def find(project: Project, settings: Settings, engine: Images) -> list[str]:
    """Images without a name, and those that the registry's names of other commits keep here.

    What runs a stack stays: the engine's own names of the stacks, the present commit's, and what a container is of,
    such as a lab that goes on with an image that another build has taken the name from.
    """
    current = publishing.names(project, settings)
    kept = {current.name, *current.mutable}
    found, used = [], engine.used()
    for row in engine.names(f"io.devai.project={settings.project.name}"):
        name = f"{row['Repository']}:{row['Tag']}"
        if row["ID"] in used:
            continue
        if row["Repository"] == _NONE:
            found.append(row["ID"])
        elif (
            row["Repository"] == image_names.registry_repository(settings) and name not in kept and row["Tag"] != _NONE
        ):
            found.append(name)
    return sorted(set(found))
