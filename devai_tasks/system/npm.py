"""npm: locks versions of the command-line tools in the lab's image."""

from __future__ import annotations

import shlex
from pathlib import Path

from devai_tasks.system import console, process


def lock(folder: Path, *, dry: bool = False) -> None:
    """Write a lock file with the newest versions of a folder's package.json, with the hashes of their archives.

    Raises MissingToolError if npm is missing, ToolError if versions can't be resolved.
    """
    arguments = ["update", "--package-lock-only", "--ignore-scripts", "--no-audit", "--no-fund"]
    # The lock file must not name a registry, because installations may use another one.
    arguments.append("--omit-lockfile-registry-resolved")
    if dry:
        return console.say(shlex.join(["npm", f"--prefix=deploy/image/tools/{folder.name}", *arguments]))
    npm = process.require("npm", "install Node.js from https://nodejs.org/ or your distribution")
    with console.step(f"locking {folder.name}"):
        process.run([npm, *arguments], options=process.Options(cwd=folder)).check("npm update")
