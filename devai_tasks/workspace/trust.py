"""Projects that the command `devai` may use on this machine: a project is code that runs as its user."""

from __future__ import annotations

import json
import os
from pathlib import Path

from devai_tasks.system import console
from devai_tasks.system.errors import UsageError
from devai_tasks.workspace import state


def ensure(root: Path) -> None:
    """Ask once before a project is used for the first time on this machine.

    Raises UsageError if the user declines, or if there is no terminal to ask.
    """
    if os.environ.get("DEVAI_TRUST") == "1" or str(root.resolve()) in trusted():
        return
    console.warn(f"{root} is a project that devai has not used on this machine. It is code that runs as you.")
    agreed = console.agrees("trust this project from now on?")
    if agreed is None:
        raise UsageError(
            f"{root} is not a trusted project, and there is no terminal to ask; nothing was done",
            hint=f"run `devai trust` in {root} to trust the project from now on, or set DEVAI_TRUST=1 for this run",
            code="DEVAI-PROJECT-001",
        )
    if not agreed:
        raise UsageError(f"{root} is not trusted; nothing was done")
    record(root)


def record(root: Path) -> None:
    """Record a project as trusted, by its real path."""
    state.write(_file(), f"{json.dumps(sorted({*trusted(), str(root.resolve())}), indent=2)}\n")


def trusted() -> list[str]:
    """Return the real paths of the trusted projects."""
    try:
        folders: list[str] = json.loads(_file().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise UsageError(f"{_file()} is not a list of folders", hint=f"delete it with `rm {_file()}`") from error
    return folders


def _file() -> Path:
    return state.of_user() / "trusted.json"
