"""What a stack remembers on this machine, in `.devai/<stack>/`: for its owner only, never in git."""

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
    """JupyterLab's token; made at first use."""
    file = project.state(stack) / _TOKEN
    if not _is_own(file):
        write(file, new_token())
    return file.read_text(encoding="utf-8")


def has_token(project: Project, stack: Stack) -> bool:
    """Whether this machine has made one already."""
    return _is_own(project.state(stack) / _TOKEN)


def new_token() -> str:
    """Another token, at random."""
    return secrets.token_hex(24)


def renew_token(project: Project, stack: Stack) -> str:
    """Replace JupyterLab's token by another one."""
    (project.state(stack) / _TOKEN).unlink(missing_ok=True)
    return token(project, stack)


def restart_due(project: Project, stack: Stack) -> Path:
    """The file that exists from when a token or secret becomes another one until containers have been made with it."""
    return project.state(stack) / "restart"


def stored_secrets(project: Project, stack: Stack) -> dict[str, str]:
    """The secrets of a stack where Compose takes them from, for the caller's eyes only."""
    folder = project.state(stack) / "secrets"
    return {file.name: os.fsdecode(file.read_bytes()) for file in folder.glob("*") if _is_own(file)}


def keep_secrets(project: Project, stack: Stack, values: Mapping[str, str], shared: Collection[str] = ()) -> bool:
    """Put the token and the secrets of a stack where Compose takes them from; whether anything changed.

    An absent secret is an empty file, because Compose wants every file that it names. Those `shared` with containers
    whose root may not read what is another user's are readable for all who get into the folder: on this machine nobody.
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
    """Have what Compose takes from here readable for a container's root that has no capability, whoever owns it.

    The folder stays closed.
    """
    folder = private_folder(project.state(stack))
    for file in (folder / _TOKEN, folder / "tls.key", *(folder / "secrets").glob("*")):
        with suppress(FileNotFoundError), os.fdopen(files.open_there(file)) as opened:
            if os.fstat(opened.fileno()).st_uid:
                os.fchmod(opened.fileno(), 0o644)


def secrets_differ(project: Project, stack: Stack, values: Mapping[str, str]) -> bool:
    """Whether what Compose takes the token and the secrets from says something else, or isn't there."""
    folder = project.state(stack) / "secrets"
    there = {file.name for file in folder.glob("*")}
    changed = there != set(values) or not all(_holds(folder / name, value) for name, value in values.items())
    return changed or not has_token(project, stack)


def _holds(file: Path, value: str) -> bool:
    return _is_own(file) and file.read_bytes() == os.fsencode(value)


def record(project: Project, stack: Stack, values: Mapping[str, str]) -> None:
    """Note what only a deployment knows (Terraform's outputs, the digest that was pushed), by dotted key.

    The file is a layer of the stack's configuration, so keys are those of the schema. What was noted before and is not
    named now stays; an empty value takes its key out.
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
    """Return what was noted of the deployment, as a tree; empty where nothing was."""
    file = project.state(stack) / DEPLOYMENT_FILE
    if not file.exists():
        return {}
    # A person may have written it.
    return _without_empty(document.read(file, file.relative_to(project.root).as_posix()).tree)


def remember(project: Project, stack: Stack, settings: Mapping[str, Any]) -> None:
    """Keep what a stack was brought up with, as plain values without secrets."""
    write(project.state(stack) / _APPLIED, f"{json.dumps(settings, indent=2)}\n")


def remembered(project: Project, stack: Stack) -> dict[str, Any] | None:
    """What the stack was brought up with last; None where it never was, or is gone."""
    file = project.state(stack) / _APPLIED
    found: dict[str, Any] | None = json.loads(file.read_text(encoding="utf-8")) if file.exists() else None
    return found


def forget(project: Project, stack: Stack) -> None:
    """Take back all that was recorded and remembered: the deployment is gone."""
    # The cloud has no secrets any more: of one that has no value here, there is nothing left to keep.
    for name in (DEPLOYMENT_FILE, _APPLIED, f"terraform/{_SECRET_VERSIONS}"):
        (project.state(stack) / name).unlink(missing_ok=True)


def of_user() -> Path:
    """Return the caller's folder for what is known of all projects (XDG Base Directory Specification)."""
    given = os.environ.get("XDG_STATE_HOME", "")
    home = Path(given) if given.startswith("/") else Path.home() / ".local/state"
    return home / "devai"


def is_first(project: Project, stack: Stack, notice: str) -> bool:
    """Whether a notice was not given to a stack before; from now on it was."""
    file = project.state(stack) / "notices" / notice
    if file.exists():
        return False
    write(file, "")
    return True


def _without_empty(tree: dict[str, Any]) -> dict[str, Any]:
    pruned = {name: _without_empty(value) if isinstance(value, dict) else value for name, value in tree.items()}
    return {name: value for name, value in pruned.items() if value}


def private_folder(folder: Path) -> Path:
    """A folder below `.devai/`, created where it is missing, and closed to others all the way.

    Raises DevaiError where a link leads elsewhere.
    """
    top = next((above for above in (folder, *folder.parents) if above.name == ".devai"), folder)
    for path in (top, *(above for above in reversed(folder.parents) if above.is_relative_to(top)), folder):
        if path.is_symlink():
            raise files.link_in_the_way(path)
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    top.chmod(0o700)
    return folder


def secret_versions(folder: Path, values: Mapping[str, str], known: Mapping[str, int]) -> dict[str, int]:
    """The version of each secret's value, counted from 1, and raised where a value is not the one of last time.

    `known` are the versions that are deployed. The file that remembers holds digests with a salt, and no value. A
    secret without a value keeps the version that it has.
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
    """Write a file of `.devai/`, which only its owner can read unless `mode` says otherwise; never half of it."""
    private_folder(file.parent)
    files.replace(file, os.fsencode(text), mode)


def _is_own(file: Path) -> bool:
    """Whether a file is there, and no link to one that others may know."""
    return file.is_file() and not file.is_symlink()
