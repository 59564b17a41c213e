"""Ownership of a stack on this machine, by labels of its containers and of a marker volume."""

from __future__ import annotations

import os
from pathlib import Path

from devai_tasks.config import image_names, naming
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.engine.images import Images
from devai_tasks.engine.labels import Marks
from devai_tasks.system.errors import DevaiError, UsageError
from devai_tasks.targets.compose import rendering as compose
from devai_tasks.workspace.ownership import Claim, Owner

# A volume with the label of the owning folder, which is needed after `down` has removed the containers. It is not part
# of the Compose file, because Compose would offer to replace a volume whose labels have changed.
_MARK = "owner"


FOLDER_LABEL = "devai.io/folder"


def of_folder(project: Project, settings: Settings) -> Owner:
    """Return the owner of a stack on this machine, as the chosen engine reports it."""
    return of_compose_project(project, naming.stack(settings))


def of_compose_project(project: Project, name: str) -> Owner:
    """Return the owner of a Compose project by name, even if this folder has no configuration for it."""
    marks, here = Marks(), os.path.realpath(project.root)
    what, own = f"the stack {name} on this machine", f"the folder {here}"
    folders = marks.folders(name)
    creators = {_project_of(folder) for folder in folders if folder}
    if not (folders or marks.volumes(name)):
        return Owner(Claim.FREE, what, own)
    mark = marks.label(_mark(name), FOLDER_LABEL)
    marked = mark == here
    foreign = sorted({*creators, *filter(None, [mark])} - {here})
    existing = [folder for folder in foreign if _exists(folder)]
    if existing and marked:
        # The containers were created without this check. The owner of the volumes may replace them, after a question.
        return Owner(Claim.UNCLEAR, what, own, f"the folder {existing[0]} by its containers", marked=True)
    if existing:
        return Owner(Claim.FOREIGN, what, own, f"the folder {existing[0]}", alternative="work there")
    if marked or (here in creators and not foreign and all(folders)):  # a container may have no folder label
        return Owner(Claim.OWN, what, own, marked=marked)
    return Owner(Claim.UNCLEAR, what, own, f"the folder {foreign[0]}, which no longer exists" if foreign else "")


def check_images(project: Project, settings: Settings, engine: Images) -> None:
    """Raise UsageError if a stack with the project's name belongs to another folder: its images can't be told apart.

    The stacks are found by the names of their images.
    """
    for row in engine.names(f"io.devai.project={settings.project.name}"):
        if row["Repository"] != image_names.engine_repository(settings):
            continue
        for stack in {row["Tag"], row["Tag"].removesuffix(image_names.GPU_SUFFIX)}:
            owner = of_compose_project(project, f"{settings.project.name}-{stack}")
            if owner.claim is Claim.FOREIGN:
                raise UsageError(
                    f"{owner.sentence}; the images may belong to either, so nothing was changed",
                    hint=owner.hint,
                    code="DEVAI-STACK-005",
                )


def mark_folder(project: Project, settings: Settings) -> None:
    """Mark the stack as owned by this folder.

    Raises:
        UsageError: the stack belongs to another folder by now.
        DevaiError: another folder is starting the stack at the same time.
    """
    owner = of_folder(project, settings)
    owner.check()
    if owner.marked:
        return
    name, here, marks = naming.stack(settings), os.path.realpath(project.root), Marks()
    marks.remove(_mark(name))
    # The engine creates a volume only once: a second caller finds the labels of the first.
    marks.create(_mark(name), {FOLDER_LABEL: here})
    if (mark := marks.label(_mark(name), FOLDER_LABEL)) != here:
        other_owner = mark or "another program"
        raise DevaiError(f"the stack {name} is being started by {other_owner} at the moment; nothing was changed")


def unmark_folder(settings: Settings) -> None:
    """Remove the mark of a stack whose data was deleted."""
    Marks().remove(_mark(naming.stack(settings)))


def _mark(name: str) -> str:
    return f"{name}_{_MARK}"


def _project_of(folder: str) -> str:
    """Return the project of a Compose working directory."""
    real = os.path.realpath(folder)
    return real.removesuffix(f"/{compose.FOLDER}")


def _exists(folder: str) -> bool:
    """Whether a folder contains a project; a folder that the user can't read counts as one."""
    try:
        Path(folder, compose.FOLDER).stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True
