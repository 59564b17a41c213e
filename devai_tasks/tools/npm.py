"""npm: locks the command-line tools of the lab's image."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import sh

from devai_tasks import console
from devai_tasks.system.errors import MissingToolError, ToolError


def lock(folder: Path, *, dry: bool = False) -> None:
    """Write the newest versions of what a folder's package.json names, with the hashes of their archives.

    Raises MissingToolError without npm, ToolError with its last words where versions can't be found.
    """
    arguments = ["update", "--package-lock-only", "--ignore-scripts", "--no-audit", "--no-fund"]
    # Whoever installs asks a registry of their own.
    arguments.append("--omit-lockfile-registry-resolved")
    if dry:
        return console.say(shlex.join(["npm", f"--prefix=deploy/image/tools/{folder.name}", *arguments]))
    npm = shutil.which("npm")
    if not npm:
        raise MissingToolError("npm is not installed; https://nodejs.org/ has it, and so have most distributions")
    with console.step(f"locking {folder.name}"):
        try:
            sh.Command(npm)(*arguments, _cwd=str(folder), _truncate_exc=False, _tty_out=False)
        except sh.ErrorReturnCode as error:
            raise ToolError(f"npm failed:\n{error.stderr.decode(errors='replace').strip()}") from error
