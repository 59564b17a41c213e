"""Whose stack it is: on this machine that of a folder, in a cluster or cloud that of a project.

A stack is marked with its owner, and tasks that change it look at the mark first.
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

# Where a project's name and identity are recorded: a file that all clones share.
FILE = "conf/common/project.yaml"
ID_LENGTH = 12


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
