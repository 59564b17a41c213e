"""uv: locks Python requirements."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

import sh

from devai_tasks import console
from devai_tasks.system.errors import MissingToolError, ToolError


def lock(requirements: Path, locked: Path, *, dry: bool = False) -> None:
    """Write the newest versions, with the hashes of their files for every platform and Python from 3.11 on.

    A file `overrides.txt` beside the requirements has the last word on what others require.

    Raises MissingToolError without uv, ToolError with its last words where versions can't be found.
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
    # On PATH, or beside the interpreter, where the extra `tools` puts it.
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if not uv:
        raise MissingToolError("uv is not installed; `pip install uv`")
    with console.step(f"locking {requirements.name}"):
        try:
            sh.Command(uv)(*arguments, _cwd=str(requirements.parent), _truncate_exc=False, _tty_out=False)
        except sh.ErrorReturnCode as error:
            raise ToolError(f"uv failed:\n{error.stderr.decode(errors='replace').strip()}") from error
