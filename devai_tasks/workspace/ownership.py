"""Owner of a stack: a folder for a stack on this machine, a project for a stack in a cluster or cloud.

A stack is marked with its owner, and tasks that change the stack check the mark first.
"""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass
from enum import Enum, auto

from devai_tasks.config import document, edit
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.system import console
from devai_tasks.system.errors import DevaiError, UsageError
from devai_tasks.workspace import writer

# File with the project's name and ID, which all clones share.
FILE = "conf/common/project.yaml"
ID_LENGTH = 12


class Claim(Enum):
    """Result of comparing the owner marks of a stack with the current project or folder."""

    FREE = auto()
    """Nothing of the stack exists."""
    OWN = auto()
    UNCLEAR = auto()
    """The stack has no mark, the mark of a folder that no longer exists, or two marks that differ."""
    FOREIGN = auto()


@dataclass(frozen=True)
class Owner:
    """Owner of a stack, and how it compares with the current project or folder."""

    claim: Claim
    what: str
    """Description of the stack, with its location."""
    own: str
    """Description of the current project or folder."""
    other: str = ""
    """Description of another owner that the marks name; empty for none."""
    marked: bool = False
    """Whether a mark names the current project or folder."""
    alternative: str = ""
    """Hint for a foreign stack, besides choosing another project name; empty for none."""

    @property
    def summary(self) -> str:
        """Short description of the owner."""
        return {
            Claim.FREE: "none: the stack does not exist",
            Claim.OWN: f"{self.own}, this one",
            Claim.UNCLEAR: self.other or "not recorded",
            Claim.FOREIGN: f"{self.other}, and this is {self.own}",
        }[self.claim]

    @property
    def sentence(self) -> str:
        """Message for a stack whose owner is unclear or another one."""
        if self.other:
            return f"{self.what} belongs to {self.other}, and this is {self.own}"
        return f"{self.what} has no recorded owner, and this is {self.own}"

    @property
    def hint(self) -> str:
        """Hint for a foreign stack."""
        rename = f"`inv config.set --set=project.name=NAME` (or editing {FILE}) creates a separate stack"
        return f"{self.alternative}; {rename}" if self.alternative else rename

    def check(self) -> None:
        """Raise UsageError if the stack is foreign."""
        if self.claim is Claim.FOREIGN:
            raise UsageError(f"{self.sentence}; nothing was changed", hint=self.hint, code="DEVAI-STACK-005")


def new_id() -> str:
    """Return a random ID in the format of `project.id`."""
    letters = [secrets.choice(string.ascii_lowercase + string.digits) for _ in range(ID_LENGTH - 1)]
    return "".join([secrets.choice(string.ascii_lowercase), *letters])


def write(project: Project, **values: str) -> None:
    """Set keys of the section `project` in `conf/common/project.yaml`."""
    file = project.root / FILE
    before = document.read_text(file, FILE) if file.exists() else ""
    writer.replace_file(file, edit.edited(before, [(("project", key), value) for key, value in values.items()]))


def ensure_id(project: Project, settings: Settings) -> str:
    """Return the project's ID; write a new ID to `conf/` if the project has none.

    After a new ID is written, the caller must reload the stack's configuration. Raises DevaiError if the file can't be
    written.
    """
    if settings.project.id:
        return settings.project.id
    identity = new_id()
    try:
        write(project, id=identity)
    except OSError as error:
        raise DevaiError(
            f"{FILE}: {error.strerror}; project.id must be written there before the first deployment",
            hint=f"add `id: {identity}` below `project:`, and commit the file",
        ) from error
    console.warn(f"wrote project.id to {FILE}; commit the file, so that clones and CI use the same project ID")
    return identity


def of_project(settings: Settings, what: str, mark: str | None) -> Owner:
    """Return the owner of a resource in a cluster or cloud.

    Args:
        settings: the stack's settings, with the current project's ID.
        what: description of the resource.
        mark: the `project.id` that the resource is marked with; None for no mark.
    """
    identity = settings.project.id
    own = f"the project with the id {identity}" if identity else f"a project without project.id ({FILE})"
    if mark is None:
        return Owner(Claim.UNCLEAR, what, own)
    if mark == identity:
        return Owner(Claim.OWN, what, own, marked=True)
    same = f"if this is the same project, commit or pull its {FILE} with `id: {mark}`"
    return Owner(Claim.FOREIGN, what, own, f"the project with the id {mark}", alternative=same)
