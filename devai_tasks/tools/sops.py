"""SOPS: makes a file of encrypted values readable."""

from __future__ import annotations

import shutil
from pathlib import Path

import sh

from devai_tasks.system.errors import MissingToolError, ToolError


def present() -> bool:
    """Whether the program is here."""
    return bool(shutil.which("sops"))


def decrypt(file: Path) -> bytes:
    """What an encrypted YAML file says; it goes through a pipe and to no disk.

    Raises MissingToolError without the program, ToolError with its last words where no key opens the file.
    """
    if not present():
        raise MissingToolError(f"{file.name} is encrypted and sops is not installed; https://getsops.io says how")
    try:
        call = sh.Command("sops")
        text = call("decrypt", "--output-type=yaml", str(file), _truncate_exc=False, _tty_out=False, _return_cmd=True)
    except sh.ErrorReturnCode as error:
        words = error.stderr.decode(errors="replace").strip().splitlines()[-5:]
        raise ToolError("\n".join([f"sops can't open {file.name}:", *words])) from error
    return bytes(text.stdout)
