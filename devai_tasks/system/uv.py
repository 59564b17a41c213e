"""uv: locks Python requirements."""

from __future__ import annotations

import shlex
from pathlib import Path

from devai_tasks.system import console, process


def lock(requirements: Path, locked: Path, *, dry: bool = False) -> None:
    """Write a lock file with the newest versions and the hashes of their files, for all platforms and Python 3.11 on.

    A file `overrides.txt` beside the requirements overrides the requirements of dependencies.

    Raises MissingToolError if uv is missing, ToolError if versions can't be resolved.
    """
    arguments = [
        "pip", "compile", "--quiet", "--upgrade", "--universal", "--python-version=3.11", "--generate-hashes",
        "--only-binary=:all:", "--no-annotate", "--custom-compile-command=inv image.lock",
        f"--output-file={locked.name}", requirements.name,
    ]  # fmt: skip
    if requirements.with_name("overrides.txt").exists():
        arguments.append("--overrides=overrides.txt")
    if dry:
        return console.say(shlex.join(["uv", *arguments]))
    uv = process.require("uv", "`pip install uv`")
    with console.step(f"locking {requirements.name}"):
        process.run([uv, *arguments], options=process.Options(cwd=requirements.parent)).check("uv pip compile")
