"""SOPS: decrypts files with secrets."""

from __future__ import annotations

from pathlib import Path

from devai_tasks.system import process
from devai_tasks.system.errors import MissingToolError, ToolError, tail


def present() -> bool:
    """Whether SOPS is installed."""
    return bool(process.which("sops"))


def decrypt(file: Path) -> bytes:
    """Return the decrypted content of a YAML file. The content is passed through a pipe and never written to disk.

    Raises MissingToolError if sops is missing, ToolError if no key decrypts the file.
    """
    sops = process.which("sops")
    if not sops:
        raise MissingToolError(
            f"{file.name} is encrypted and sops is not installed",
            hint="install it from https://getsops.io",
            code="DEVAI-CONFIG-005",
        )
    result = process.run([sops, "decrypt", "--output-type=yaml", str(file)])
    if result.returncode:
        # The error must not quote standard output, which may contain secrets.
        raise ToolError(
            f"sops can't decrypt {file.name}:\n{tail(result.stderr) or f'exit code {result.returncode}'}",
            hint="log in to the cloud that holds the key, or set SOPS_AGE_KEY_FILE to the file of an age key",
            returncode=result.returncode,
            stderr=result.stderr,
            code="DEVAI-CONFIG-006",
        )
    return result.output
