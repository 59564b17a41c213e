"""pip: brings Python packages, or the files that one carries."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import sh

from devai_tasks.system.errors import ToolError
from devai_tasks.tools import programs


def unpack(package: str, folder: Path) -> None:
    """Unpack a package into a folder, without what it depends on; nothing of it is installed or run.

    Raises ToolError with pip's last words.
    """
    options = ["--quiet", "--no-deps", "--only-binary=:all:", "--no-compile", f"--target={folder}"]
    try:
        sh.Command(sys.executable)("-P", "-m", "pip", "install", *options, package, _truncate_exc=False, _tty_out=False)
    except sh.ErrorReturnCode as error:
        output = error.stderr.decode(errors="replace").strip()
        hint = "; `pip install devai-tasks[offline]` brings pip" if "No module named pip" in output else ""
        raise ToolError(f"can't get the Python package {package}{hint}:\n{output}") from error


def install(requirements: Sequence[str]) -> None:
    """Install packages into the environment that this runs in, by uv where there is one, else by pip.

    Raises ToolError with the last words of either.
    """
    uv = programs.which("uv")
    how = [uv, "pip", "install", f"--python={sys.executable}"] if uv else [sys.executable, "-P", "-m", "pip", "install"]
    try:
        sh.Command(how[0])(*how[1:], "--quiet", *requirements, _truncate_exc=False, _tty_out=False)
    except sh.ErrorReturnCode as error:
        output = error.stderr.decode(errors="replace").strip()
        raise ToolError(f"can't install {', '.join(requirements)}:\n{output}") from error
