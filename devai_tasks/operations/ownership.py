"""Whose stack it is: the identity by which a project's stacks are known in clusters and clouds."""

from __future__ import annotations

import secrets
import string

from devai_tasks import console
from devai_tasks.config import document, edit
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.errors import DevaiError
from devai_tasks.render import writer

# Where a project's name and identity are recorded: a file that all clones share.
FILE = "conf/common/project.yaml"
ID_LENGTH = 12


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
            f"{FILE}: {error.strerror}; the first deployment to a cluster or cloud writes project.id there. Add "
            f"`id: {identity}` below `project:`, and commit it"
        ) from error
    console.warn(f"wrote project.id to {FILE}: commit it, so that clones and CI are known as the same project")
    return identity
