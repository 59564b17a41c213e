"""What a stack remembers on this machine, in `.devai/<stack>/`: for its owner only, never in git."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack


def token(project: Project, stack: Stack) -> str:
    """JupyterLab's token; made at first use."""
    file = project.state(stack) / "token"
    if not file.exists():
        _write(file, secrets.token_hex(24))
    return file.read_text(encoding="utf-8")


def keep_secrets(project: Project, stack: Stack, values: Mapping[str, str]) -> bool:
    """Put the token and the secrets of a stack where Compose takes them from; whether anything changed.

    An absent secret is an empty file, because Compose wants every file that it names.
    """
    changed = not (project.state(stack) / "token").exists()
    token(project, stack)
    folder = project.state(stack) / "secrets"
    for name, value in values.items():
        file = folder / name
        if not file.exists() or file.read_bytes() != os.fsencode(value):
            _write(file, value)
            changed = True
    for file in folder.glob("*"):
        if file.name not in values:
            file.unlink()
            changed = True
    return changed


def _write(file: Path, text: str) -> None:
    """Write a file that only its owner can read; never half of it."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # `mkdir` gives its mode to the last folder only.
    for folder in (file.parent, *file.parent.parents):
        if folder.name == ".devai":
            folder.chmod(0o700)
            break
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(os.fsencode(text))
    partial.replace(file)
