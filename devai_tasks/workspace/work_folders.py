"""The folders of this machine that labs have as ~/work, of whatever project: notebooks may have made links in them.

Each stack has a file of its own, so that two that start at once keep both.
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
    """A folder, and whose lab has it."""

    folder: Path
    """Without links."""
    root: Path
    """Of the project."""
    stack: str


def known() -> list[WorkFolder]:
    """Return the folders that labs were started with by the caller, and that still exist."""
    return [found for file in sorted(_directory().glob("*.json")) if (found := _read(file))]


def record(own: WorkFolder) -> None:
    """Remember a folder, before a lab has it; a folder that no longer exists is forgotten."""
    content = json.dumps([str(own.folder), str(own.root), own.stack])
    try:
        for file in _directory().glob("*.json"):
            if not _read(file):
                file.unlink(missing_ok=True)
        state.write(_directory() / f"{hashlib.sha256(content.encode()).hexdigest()[:32]}.json", f"{content}\n")
    except OSError as error:
        console.warn(f"other projects will not know that notebooks write to {own.folder}: {error}")


def _read(file: Path) -> WorkFolder | None:
    """Return what a file remembers; None where the folder no longer exists, or the file is not whole."""
    with suppress(OSError, ValueError):
        folder, root, stack = json.loads(file.read_text(encoding="utf-8"))
        return WorkFolder(Path(folder), Path(root), stack) if Path(folder).is_dir() else None
    return None


def _directory() -> Path:
    return state.of_user() / "work-folders"
