"""Whose stack it is on this machine, by labels of its containers and of a volume of its own."""

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

# What says which folder a stack of this machine belongs to, once `down` has removed its containers: a volume of its
# own, for Compose would offer to replace a volume of its file whose labels have changed.
_MARK = "owner"


FOLDER_LABEL = "devai.io/folder"


def of_folder(project: Project, settings: Settings) -> Owner:
    """Whose stack it is on this machine, by the engine that was chosen."""
    return of_compose_project(project, naming.stack(settings))


def of_compose_project(project: Project, name: str) -> Owner:
    """The same, by Compose's name of it: also for a stack that this folder has no configuration of."""
    marks, here = Marks(), os.path.realpath(project.root)
    what, own = f"the stack {name} on this machine", f"the folder {here}"
    folders = marks.folders(name)
    makers = {_project_of(folder) for folder in folders if folder}
    if not (folders or marks.volumes(name)):
        return Owner(Claim.FREE, what, own)
    mark = marks.label(_mark(name), FOLDER_LABEL)
    marked = mark == here
    others = sorted({*makers, *filter(None, [mark])} - {here})
    living = [folder for folder in others if _exists(folder)]
    if living and marked:
        # Made past this guard. Who has the volumes may replace containers, and is asked before.
        return Owner(Claim.UNCLEAR, what, own, f"the folder {living[0]} by its containers", marked=True)
    if living:
        return Owner(Claim.FOREIGN, what, own, f"the folder {living[0]}", alternative="work there")
    if marked or (here in makers and not others and all(folders)):  # a container may not say who made it
        return Owner(Claim.OWN, what, own, marked=marked)
    return Owner(Claim.UNCLEAR, what, own, f"the folder {others[0]}, which no longer exists" if others else "")


def check_images(project: Project, settings: Settings, engine: Images) -> None:
    """Raise UsageError where a stack of the project's name is another folder's: nobody can tell whose an image is.

    Which stacks there are, the engine's own names of their images say.
    """
    for row in engine.names(f"io.devai.project={settings.project.name}"):
        if row["Repository"] != image_names.engine_repository(settings):
            continue
        for stack in {row["Tag"], row["Tag"].removesuffix(image_names.GPU_SUFFIX)}:
            owner = of_compose_project(project, f"{settings.project.name}-{stack}")
            if owner.claim is Claim.FOREIGN:
                raise UsageError(
                    f"{owner.sentence}; these images may be of either, and nothing was changed",
                    hint=owner.hint,
                    code="DEVAI-STACK-005",
                )


def mark_folder(project: Project, settings: Settings) -> None:
    """Mark the stack as this folder's.

    Raises UsageError where it has become another's meanwhile, DevaiError where it does so at this moment.
    """
    owner = of_folder(project, settings)
    owner.check()
    if owner.marked:
        return
    name, here, marks = naming.stack(settings), os.path.realpath(project.root), Marks()
    marks.remove(_mark(name))
    # The engine makes a volume once: who comes second is left with the labels of the first.
    marks.create(_mark(name), {FOLDER_LABEL: here})
    if (mark := marks.label(_mark(name), FOLDER_LABEL)) != here:
        other = mark or "another program"
        raise DevaiError(f"the stack {name} is just being brought up by {other}; nothing was changed")


def unmark_folder(settings: Settings) -> None:
    """Remove the mark of a stack whose data is gone."""
    Marks().remove(_mark(naming.stack(settings)))


def _mark(name: str) -> str:
    return f"{name}_{_MARK}"


def _project_of(folder: str) -> str:
    """The project whose folder for Compose this is: what Compose calls the working directory."""
    real = os.path.realpath(folder)
    return real.removesuffix(f"/{compose.FOLDER}")


def _exists(folder: str) -> bool:
    """Whether there is a project in a folder; one in a folder that is closed to the caller is taken for one."""
    try:
        Path(folder, compose.FOLDER).stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True
