"""Registry of the work folders on this machine, of all projects: notebooks may have created links in them.

A lab mounts its work folder as ~/work. Each stack has its entry file, so that stacks that start at the same time don't
overwrite each other's entry.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from devai_tasks.system import console
from devai_tasks.workspace import state


@dataclass(frozen=True)
class WorkFolder:
    """A work folder, and the stack that uses it."""

    folder: Path
    """Real path, without links."""
    root: Path
    """Root of the project."""
    stack: str


def known() -> list[WorkFolder]:
    """Return the existing folders that the user has started labs with."""
    return [entry for file in sorted(_directory().glob("*.json")) if (entry := _read(file))]


def record(entry: WorkFolder) -> None:
    """Record a folder before a lab mounts it; delete the entries of folders that no longer exist."""
    content = json.dumps([str(entry.folder), str(entry.root), entry.stack])
    try:
        for file in _directory().glob("*.json"):
            if not _read(file):
                file.unlink(missing_ok=True)
        state.write(_directory() / f"{hashlib.sha256(content.encode()).hexdigest()[:32]}.json", f"{content}\n")
    except OSError as error:
        console.warn(f"{entry.folder} was not recorded as a work folder for other projects: {error}")


def _read(file: Path) -> WorkFolder | None:
    """Return the entry of a file; None if the folder no longer exists or the file is incomplete."""
    with suppress(OSError, ValueError):
        folder, root, stack = json.loads(file.read_text(encoding="utf-8"))
        return WorkFolder(Path(folder), Path(root), stack) if Path(folder).is_dir() else None
    return None


def _directory() -> Path:
    return state.of_user() / "work-folders"
