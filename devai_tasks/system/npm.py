"""npm: locks the command-line tools of the lab's image."""

from __future__ import annotations

import shlex
from pathlib import Path

from devai_tasks.system import console, process


def lock(folder: Path, *, dry: bool = False) -> None:
    """Write the newest versions of what a folder's package.json names, with the hashes of their archives.

    Raises MissingToolError without npm, ToolError where versions can't be resolved.
    """
    arguments = ["update", "--package-lock-only", "--ignore-scripts", "--no-audit", "--no-fund"]
    # Whoever installs asks a registry of their own.
    arguments.append("--omit-lockfile-registry-resolved")
    if dry:
        return console.say(shlex.join(["npm", f"--prefix=deploy/image/tools/{folder.name}", *arguments]))
    npm = process.require("npm", "https://nodejs.org/ has it, and so have most distributions")
    with console.step(f"locking {folder.name}"):
        process.run([npm, *arguments], options=process.Options(cwd=folder)).check("npm update")
