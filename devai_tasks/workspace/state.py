"""State of a stack on this machine, in `.devai/<stack>/`: readable by its owner only, never in git."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from devai_tasks.config import document
from devai_tasks.config.layers import DEPLOYMENT_FILE
from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.system import files

_APPLIED = "applied.json"
_SECRET_VERSIONS = "secret-versions.json"  # noqa: S105 - the name of a file
_TOKEN = "token"  # noqa: S105 - the name of a file


def token(project: Project, stack: Stack) -> str:
    """Return JupyterLab's token; create it at first use."""
    file = project.state(stack) / _TOKEN
    if not _is_own(file):
        write(file, new_token())
    return file.read_text(encoding="utf-8")


def has_token(project: Project, stack: Stack) -> bool:
    """Whether this machine has created a token for the stack."""
    return _is_own(project.state(stack) / _TOKEN)


def new_token() -> str:
    """Return a random token."""
    return secrets.token_hex(24)


def renew_token(project: Project, stack: Stack) -> str:
    """Replace JupyterLab's token by a new one; return it."""
    (project.state(stack) / _TOKEN).unlink(missing_ok=True)
    return token(project, stack)


def restart_due(project: Project, stack: Stack) -> Path:
    """Return the path of the marker file for a pending restart.

    The file exists from a change of the token or a secret until containers have been created with the new value.
    """
    return project.state(stack) / "restart"


def stored_secrets(project: Project, stack: Stack) -> dict[str, str]:
    """Return the secrets that Compose reads for a stack. Confidential."""
    folder = project.state(stack) / "secrets"
    return {file.name: os.fsdecode(file.read_bytes()) for file in folder.glob("*") if _is_own(file)}


def keep_secrets(project: Project, stack: Stack, values: Mapping[str, str], shared: Collection[str] = ()) -> bool:
    """Write the token and the secrets of a stack to the files that Compose reads; return whether anything changed.

    A secret without a value is an empty file, because Compose requires every file that its definition names.

    Args:
        project: the project.
        stack: the stack.
        values: the value of each secret.
        shared: secrets whose files have mode 0644, for containers whose root user may not read files of other users.
            The folder stays closed to other users of this machine.
    """
    changed = secrets_differ(project, stack, values)
    token(project, stack)
    folder = project.state(stack) / "secrets"
    for name in set(values) | {file.name for file in folder.glob("*")}:
        if name not in values:
            (folder / name).unlink()
        elif not _holds(folder / name, values[name]):
            write(folder / name, values[name], 0o644 if name in shared else 0o600)
    return changed


def open_to_root(project: Project, stack: Stack) -> None:
    """Make the files that Compose reads readable for a container's root user without capabilities.

    The folder stays closed to other users.
    """
    folder = private_folder(project.state(stack))
    for file in (folder / _TOKEN, folder / "tls.key", *(folder / "secrets").glob("*")):
        with suppress(FileNotFoundError), os.fdopen(files.open_there(file)) as opened:
            if os.fstat(opened.fileno()).st_uid:
                os.fchmod(opened.fileno(), 0o644)


def secrets_differ(project: Project, stack: Stack, values: Mapping[str, str]) -> bool:
    """Whether the files of the token and the secrets that Compose reads are missing or differ from the values."""
    folder = project.state(stack) / "secrets"
    present = {file.name for file in folder.glob("*")}
    changed = present != set(values) or not all(_holds(folder / name, value) for name, value in values.items())
    return changed or not has_token(project, stack)


def _holds(file: Path, value: str) -> bool:
    return _is_own(file) and file.read_bytes() == os.fsencode(value)


def record(project: Project, stack: Stack, values: Mapping[str, str]) -> None:
    """Record results of a deployment, such as Terraform's outputs and the digest of a pushed image, by dotted key.

    The file is a layer of the stack's configuration, so the keys are keys of the schema. Keys that are not given keep
    their recorded value; an empty value removes its key.
    """
    file = project.state(stack) / DEPLOYMENT_FILE
    known = recorded(project, stack)
    for key, value in values.items():
        *sections, name = key.split(".")
        node = known
        for section in sections:
            node = node.setdefault(section, {})
        node[name] = value
        if not value:
            del node[name]
    write(file, f"{json.dumps(_without_empty(known), indent=2)}\n")


def recorded(project: Project, stack: Stack) -> dict[str, Any]:
    """Return the recorded results of the deployment as a tree; empty if nothing was recorded."""
    file = project.state(stack) / DEPLOYMENT_FILE
    if not file.exists():
        return {}
    # The user may have edited the file.
    return _without_empty(document.read(file, file.relative_to(project.root).as_posix()).tree)


def remember(project: Project, stack: Stack, settings: Mapping[str, Any]) -> None:
    """Record the settings that a stack was started with, as plain values without secrets."""
    write(project.state(stack) / _APPLIED, f"{json.dumps(settings, indent=2)}\n")


def remembered(project: Project, stack: Stack) -> dict[str, Any] | None:
    """Return the settings that the stack was last started with; None if it was never started, or was removed."""
    file = project.state(stack) / _APPLIED
    settings: dict[str, Any] | None = json.loads(file.read_text(encoding="utf-8")) if file.exists() else None
    return settings


def delete_records(project: Project, stack: Stack) -> None:
    """Delete all recorded results and settings after the deployment was destroyed."""
    # The cloud's secret manager is empty now: a secret without a value on this machine has no stored value to keep.
    for name in (DEPLOYMENT_FILE, _APPLIED, f"terraform/{_SECRET_VERSIONS}"):
        (project.state(stack) / name).unlink(missing_ok=True)


def of_user() -> Path:
    """Return the user's folder for state of all projects (XDG Base Directory Specification)."""
    configured = os.environ.get("XDG_STATE_HOME", "")
    home = Path(configured) if configured.startswith("/") else Path.home() / ".local/state"
    return home / "devai"


def is_first(project: Project, stack: Stack, notice: str) -> bool:
    """Whether a notice was not shown for a stack before. Records it as shown."""
    file = project.state(stack) / "notices" / notice
    if file.exists():
        return False
    write(file, "")
    return True


def _without_empty(tree: dict[str, Any]) -> dict[str, Any]:
    pruned = {name: _without_empty(value) if isinstance(value, dict) else value for name, value in tree.items()}
    return {name: value for name, value in pruned.items() if value}


def private_folder(folder: Path) -> Path:
    """Return a folder below `.devai/`; create it and its parents if missing, closed to other users.

    Raises DevaiError if the folder or a parent is a link.
    """
    top = next((above for above in (folder, *folder.parents) if above.name == ".devai"), folder)
    for path in (top, *(above for above in reversed(folder.parents) if above.is_relative_to(top)), folder):
        if path.is_symlink():
            raise files.link_in_the_way(path)
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    top.chmod(0o700)
    return folder


def secret_versions(folder: Path, values: Mapping[str, str], known: Mapping[str, int]) -> dict[str, int]:
    """Return the version of each secret's value, counted from 1 and incremented when the value changes.

    A secret without a value keeps its version. The file stores salted digests, not values.

    Args:
        folder: the folder of the file.
        values: the value of each secret.
        known: the deployed versions.
    """
    file = folder / _SECRET_VERSIONS
    kept: dict[str, Any] = {"salt": secrets.token_hex(16), "of": {}}
    if file.exists():
        kept = json.loads(file.read_text(encoding="utf-8"))
    versions = {**{name: version for name, (version, _) in kept["of"].items()}, **known}
    for name, value in values.items():
        digest = hashlib.sha256(os.fsencode(kept["salt"] + value)).hexdigest()
        version, last = kept["of"].get(name, (versions.get(name, 1), digest))
        versions[name] = max(version, versions.get(name, 1)) + (last != digest)
        kept["of"][name] = [versions[name], digest]
    write(file, f"{json.dumps(kept, indent=2)}\n")
    return versions


def write(file: Path, text: str, mode: int = 0o600) -> None:
    """Write a file below `.devai/` atomically; without `mode`, only its owner can read it."""
    private_folder(file.parent)
    files.replace(file, os.fsencode(text), mode)


def _is_own(file: Path) -> bool:
    """Whether a file exists and is not a link, whose target other users may know."""
    return file.is_file() and not file.is_symlink()
