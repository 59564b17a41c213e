"""SOPS: decrypts a file of secrets."""

from __future__ import annotations

from pathlib import Path

from devai_tasks.system import process
from devai_tasks.system.errors import MissingToolError, ToolError, tail


def present() -> bool:
    """Whether the program is installed."""
    return bool(process.which("sops"))


def decrypt(file: Path) -> bytes:
    """Return the content of an encrypted YAML file, which goes through a pipe and is never written to a disk.

    Raises MissingToolError without the program, ToolError where no key decrypts the file.
    """
    sops = process.which("sops")
    if not sops:
        raise MissingToolError(
            f"{file.name} is encrypted and sops is not installed",
            hint="https://getsops.io says how",
            code="DEVAI-CONFIG-005",
        )
    result = process.run([sops, "decrypt", "--output-type=yaml", str(file)])
    if result.returncode:
        # No error quotes its standard output, which may hold secrets.
        raise ToolError(
            f"sops can't open {file.name}:\n{tail(result.stderr) or f'exit code {result.returncode}'}",
            hint="log in to the cloud that has its key, or set SOPS_AGE_KEY_FILE to the file of an age key",
            returncode=result.returncode,
            stderr=result.stderr,
            code="DEVAI-CONFIG-006",
        )
    return result.output
