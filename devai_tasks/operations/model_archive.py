"""The models of a stack's own Ollama as one file: the way to a machine without a network."""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from pathlib import Path
from typing import IO

from devai_tasks import console
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.errors import DevaiError, UsageError
from devai_tasks.operations import lab, models
from devai_tasks.tools.docker import Docker
from devai_tasks.tools.ollama import Ollama

# What Ollama keeps beside them is its own: a key by which hubs know it, and parts of what it has not got yet.
FOLDER, PARTS, UNFINISHED = "/models", ("blobs", "manifests"), "*-partial*"
_BLOCK = 1 << 20


def save(project: Project, settings: Settings, docker: Docker, file: Path) -> None:
    """Write all models of the running stack to a file.

    Raises UsageError where the file is there already, or the stack has no models of its own to write.
    """
    if file.exists():
        raise UsageError(f"--file={file} is there already; nothing was written")
    present = _server_of(settings, docker).models()
    if not present and not docker.dry:
        raise UsageError("there are no models to write; `inv models.pull` brings some")
    own = lab.compose(project, settings, docker)
    command = ("tar", "--create", f"--directory={FOLDER}", f"--exclude={UNFINISHED}", *PARTS)
    if docker.dry:
        return own.pipe(lab.OLLAMA, command)
    unfinished = file.with_name(f"{file.name}.part")
    try:
        title = f"writing {', '.join(present)} to {file}"
        with console.step(title, silent=True), unfinished.open("wb") as archive:
            own.pipe(lab.OLLAMA, command, into=archive)
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)


def restore(project: Project, settings: Settings, docker: Docker, file: Path) -> None:
    """Give the running stack the models of a file; those of the same names are replaced.

    Every byte is checked before the first one is handed over. Raises UsageError for a file that isn't there, DevaiError
    for one that is no archive of models or is not whole.
    """
    if not file.is_file():
        raise UsageError(f"--file={file}: there is no such file")
    server = _server_of(settings, docker)
    before = server.models()
    own = lab.compose(project, settings, docker)
    command = ("tar", "--extract", f"--directory={FOLDER}", "--no-same-owner")
    if docker.dry:
        return own.pipe(lab.OLLAMA, command)
    with console.step(f"checking {file}", silent=True):
        check(file)
    with console.step(f"reading {file}", silent=True), file.open("rb") as archive:
        own.pipe(lab.OLLAMA, command, given=archive)
    for name in server.models():
        console.say(f"model {name}: {'present' if name in before else 'imported'}")


def check(file: Path) -> None:
    """Raise DevaiError for an archive with something else than whole models in it."""
    blobs: set[str] = set()
    wanted: set[str] = set()
    try:
        with tarfile.open(file) as archive:
            for entry in archive:
                content = archive.extractfile(entry) if entry.isreg() else None
                match entry.name.split("/"):
                    case [part] if part in PARTS and entry.isdir():
                        pass
                    case ["manifests", *path] if ".." not in path and entry.isdir():
                        pass
                    case ["blobs", name] if content and re.fullmatch(r"sha256-[0-9a-f]{64}", name):
                        if name != f"sha256-{_digest(content)}":
                            raise DevaiError(
                                f"{file} is damaged: {entry.name} is not what it was; nothing was imported"
                            )
                        blobs.add(name)
                    case ["manifests", *path] if ".." not in path and content:
                        wanted |= _blobs_of(content.read(_BLOCK))
                    case _:
                        raise DevaiError(f"{file} is no archive of models: it has {entry.name}; nothing was imported")
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise DevaiError(f"{file} is no archive of models, or not all of it: {error}; nothing was imported") from error
    if not wanted or not wanted <= blobs:
        raise DevaiError(f"{file} has {'not all parts of its' if wanted else 'no'} models; nothing was imported")


def _server_of(settings: Settings, docker: Docker) -> Ollama:
    if settings.ollama.mode != "container":
        raise UsageError(
            f"ollama.mode is {settings.ollama.mode}: the models are another server's; `inv models.pull` brings it more"
        )
    return models.server(settings, dry=docker.dry)


def _digest(content: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while block := content.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()


def _blobs_of(manifest: bytes) -> set[str]:
    """The blobs that a manifest (OCI's image manifest) is about."""
    read = json.loads(manifest)
    try:
        return {layer["digest"].replace(":", "-") for layer in [read["config"], *read["layers"]]}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("a manifest that is none") from error
