"""Whose stack it is: on this machine that of a folder, in a cluster or cloud that of a project.

What is made is marked, and who changes something looks at the mark first (`tasks/guard.py`).
"""

from __future__ import annotations

import os
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any

from devai_tasks import console
from devai_tasks.config import document, edit, naming
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.render import compose, writer
from devai_tasks.render import kubernetes as definition
from devai_tasks.system.errors import DevaiError, UsageError
from devai_tasks.tools.kubectl import Kubectl
from devai_tasks.tools.marks import Marks

# Where a project's name and identity are recorded: a file that all clones share.
FILE = "conf/common/project.yaml"
ID_LENGTH = 12
# What says which folder a stack of this machine belongs to, once `down` has removed its containers: a volume of its
# own, for Compose would offer to replace a volume of its file whose labels have changed.
_MARK = "owner"
FOLDER_LABEL = "devai.io/folder"
# Not the manager of the manifests: what those apply without a mark must not take one away.
_MANAGER = "devai-owner"


class Claim(Enum):
    """What the marks of a stack mean to the one who looks."""

    FREE = auto()
    """Nothing of the stack exists."""
    OWN = auto()
    UNCLEAR = auto()
    """The stack has no mark, that of a folder that no longer exists, or two that differ."""
    FOREIGN = auto()


@dataclass(frozen=True)
class Owner:
    """Whose stack it is."""

    claim: Claim
    what: str
    """The stack, in words that say where."""
    own: str
    """Who looks, in words."""
    other: str = ""
    """Whom else the marks name, in words; empty for none."""
    marked: bool = False
    """Whether a mark names the one who looks."""
    alternative: str = ""
    """What else there is to do about a foreign stack than to choose another name."""

    @property
    def words(self) -> str:
        """The owner in a few words."""
        return {
            Claim.FREE: "none: nothing of the stack exists",
            Claim.OWN: f"{self.own}, this one",
            Claim.UNCLEAR: self.other or "not recorded",
            Claim.FOREIGN: f"{self.other}, and this is {self.own}",
        }[self.claim]

    @property
    def sentence(self) -> str:
        """What is told of a stack that is not clearly one's own."""
        if self.other:
            return f"{self.what} belongs to {self.other}, and this is {self.own}"
        return f"{self.what} has no recorded owner, and this is {self.own}"

    @property
    def hint(self) -> str:
        """What to do about a foreign stack."""
        rename = f"`inv config.set --set=project.name=NAME` (or editing {FILE}) makes this one a stack of its own"
        return f"{self.alternative}; {rename}" if self.alternative else rename

    def check(self) -> None:
        """Raise UsageError for a foreign stack."""
        if self.claim is Claim.FOREIGN:
            raise UsageError(f"{self.sentence}; nothing was changed", hint=self.hint, code="DEVAI-STACK-005")


# A project in clusters and clouds.


def new_id() -> str:
    """Return a random identity, as `project.id` takes it."""
    letters = [secrets.choice(string.ascii_lowercase + string.digits) for _ in range(ID_LENGTH - 1)]
    return "".join([secrets.choice(string.ascii_lowercase), *letters])


def write(project: Project, **values: str) -> None:
    """Set keys of the section `project` in the file that all clones share."""
    file = project.root / FILE
    before = document.read_text(file, FILE) if file.exists() else ""
    writer.replace_file(file, edit.edited(before, [(("project", key), value) for key, value in values.items()]))


def ensure_id(project: Project, settings: Settings) -> str:
    """Return the project's identity; writes a new one into `conf/` where there is none yet.

    A stack's configuration is to be loaded once more after that. Raises DevaiError where the file can't be written.
    """
    if settings.project.id:
        return settings.project.id
    identity = new_id()
    try:
        write(project, id=identity)
    except OSError as error:
        raise DevaiError(
            f"{FILE}: {error.strerror}; the first deployment to a cluster or cloud writes project.id there",
            hint=f"add `id: {identity}` below `project:`, and commit it",
        ) from error
    console.warn(f"wrote project.id to {FILE}: commit it, so that clones and CI are known as the same project")
    return identity


def of_project(settings: Settings, what: str, mark: str | None) -> Owner:
    """Whose it is, by the `project.id` that something in a cluster or cloud is marked with; None for no mark."""
    identity = settings.project.id
    own = f"the project with the id {identity}" if identity else f"a project without project.id ({FILE})"
    if mark is None:
        return Owner(Claim.UNCLEAR, what, own)
    if mark == identity:
        return Owner(Claim.OWN, what, own, marked=True)
    same = f"if this is the same project, its {FILE} with `id: {mark}` was not committed or is not pulled"
    return Owner(Claim.FOREIGN, what, own, f"the project with the id {mark}", alternative=same)


def of_namespace(kubectl: Kubectl, settings: Settings) -> Owner:
    """Whose stack it is in its cluster."""
    what = f"the namespace {kubectl.namespace} in {kubectl.context}"
    found = kubectl.object("namespace", kubectl.namespace)
    if not found:
        return Owner(Claim.FREE, what, "")
    labels: Mapping[str, Any] = found["metadata"].get("labels", {})
    mark = labels.get(definition.PROJECT_LABEL)
    if mark is None and labels.get(definition.STACK_LABEL) != kubectl.namespace:
        own = f"the project {settings.project.name}"
        return Owner(Claim.FOREIGN, what, own, "another owner: it is not marked as a stack")
    return of_project(settings, what, mark)


def mark_namespace(kubectl: Kubectl, identity: str) -> None:
    """Mark a stack's namespace with the project's identity."""
    kubectl.apply(definition.mark(kubectl.namespace, identity), manager=_MANAGER)


# A folder on this machine.


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
