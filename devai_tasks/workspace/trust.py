"""Which projects the command `devai` may use on this machine: a project is code, which runs as its caller."""

from __future__ import annotations

import json
import os
from pathlib import Path

from devai_tasks.system import console
from devai_tasks.system.errors import UsageError
from devai_tasks.workspace import state


def ensure(root: Path) -> None:
    """Ask once before a project is used that this machine has not seen. Raises UsageError where it may not be used."""
    if os.environ.get("DEVAI_TRUST") == "1" or str(root.resolve()) in trusted():
        return
    console.warn(f"{root} is a project that devai has not used on this machine. It is code that runs as you.")
    agreed = console.agrees("use it, now and later?")
    if agreed is None:
        raise UsageError(
            "no terminal to ask; nothing was done",
            hint=f"`devai trust` in {root} allows this project from now on, DEVAI_TRUST=1 this run",
            code="DEVAI-PROJECT-001",
        )
    if not agreed:
        raise UsageError("nothing was done")
    record(root)


def record(root: Path) -> None:
    """Remember that a project may be used, by its real path."""
    state.write(_file(), f"{json.dumps(sorted({*trusted(), str(root.resolve())}), indent=2)}\n")


def trusted() -> list[str]:
    """The real paths of the projects that may be used."""
    try:
        found: list[str] = json.loads(_file().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise UsageError(f"{_file()} is not a list of folders", hint="delete it, and be asked again") from error
    return found


def _file() -> Path:
    return state.of_user() / "trusted.json"
