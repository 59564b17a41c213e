"""Archives of the models of a stack's bundled Ollama, for a machine without network access.

An archive is a GNU tar file of the folders `blobs` and `manifests`. Only this module parses an archive, so that the
content that was checked is the content that is imported: blobs are uploaded to the server, which verifies their
digests, and manifests are written unchanged. The server has no upload for manifests: its API would create different
manifests from the same blobs.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

from devai_tasks.config import naming
from devai_tasks.engine.docker_compose import Compose
from devai_tasks.models.ollama import Ollama
from devai_tasks.system import console, user_files
from devai_tasks.system.errors import DevaiError, UsageError

# Other files of Ollama are left out: the key that identifies it to hubs, and partial downloads.
FOLDER, PARTS, UNFINISHED = "/models", ("blobs", "manifests"), "*-partial*"
# Limits above what real models need, so that an archive can't exhaust memory: a manifest has a few kilobytes.
MAX_ENTRIES, MAX_MANIFEST_BYTES, MAX_NAME_BYTES = 100_000, 64 << 20, 4096
_BLOCK = 1 << 20
_BLOB = re.compile(r"blobs/sha256-([0-9a-f]{64})")
# Host, namespace, model and tag, by the grammar in Ollama's types/model/name.go.
_MANIFEST = re.compile(r"manifests/\w[\w.:-]{0,349}/\w[\w-]{0,79}/\w[\w.-]{0,79}/\w[\w.-]{0,79}", re.ASCII)


class NotModelsError(Exception):
    """An archive contains anything but complete models."""


@dataclass(frozen=True)
class Models:
    """The content of an archive of complete models."""

    manifests: Mapping[str, bytes]
    """Content by path."""
    blobs: Mapping[str, tuple[int, int]]
    """Offset and length in the archive of each blob that a manifest refers to, by SHA-256."""


def save(containers: Compose, server: AbstractContextManager[Ollama], file: Path, shared: Sequence[Path]) -> None:
    """Write all models of a running stack to a file, which appears under its name only after verification.

    Args:
        containers: the containers of the stack, among them Ollama.
        server: the Ollama in these containers.
        file: the file to write.
        shared: folders in which the lab may have created symbolic links.

    Raises:
        UsageError: there are no models.
        DevaiError: the archive is incomplete.
    """
    with server as ollama:
        present = ollama.models()
    if not present and not containers.dry:
        raise UsageError("there are no models to export", hint="`inv models.pull` pulls models")
    command = ("tar", "--create", f"--directory={FOLDER}", f"--exclude={UNFINISHED}", *PARTS)
    if containers.dry:
        return containers.pipe(naming.OLLAMA, command)
    with console.step(f"writing {', '.join(present)} to {file}", silent=True), user_files.new(file, shared) as archive:
        containers.pipe(naming.OLLAMA, command, into=archive)
        with _explained(f"the export to {file}", "nothing was written", "try again while no model is being pulled"):
            check(archive)


def restore(containers: Compose, server: AbstractContextManager[Ollama], file: Path, shared: Sequence[Path]) -> None:
    """Import the models of a file into a running stack; models of the same name are replaced.

    The whole file is checked before any model is changed. The arguments are the same as for `save`.

    Raises:
        UsageError: the file does not exist.
        DevaiError: the file is not an archive of models, is incomplete, or changes during the import.
    """
    with user_files.opened(file, shared) as archive, server as ollama:
        before = ollama.models()
        command = ("tar", "--extract", f"--directory={FOLDER}", "--no-same-owner")
        if containers.dry:
            return containers.pipe(naming.OLLAMA, command)
        with _explained(str(file), "nothing was imported"):
            with console.step(f"checking {file}", silent=True):
                models = check(archive)
            with console.step(f"importing {file}", silent=True), _packed(models.manifests) as manifests:
                for digest, (start, size) in models.blobs.items():
                    ollama.upload(digest, size, _verified(archive, digest, start, size))
                containers.pipe(naming.OLLAMA, command, given=manifests)
        for name in ollama.models():
            console.say(f"model {name}: {'present' if name in before else 'imported'}")


def check(archive: IO[bytes]) -> Models:
    """Read a whole archive. Raises NotModelsError unless the archive contains complete models, and nothing else."""
    blobs: dict[str, tuple[int, int]] = {}
    manifests: dict[str, bytes] = {}
    remaining = MAX_MANIFEST_BYTES
    for name, start, size in _files(archive):
        if blob := _BLOB.fullmatch(name):
            if blob[1] != _digest(_blocks(archive, start, size)):
                raise NotModelsError(f"is damaged: {name} does not match its digest")
            blobs[blob[1]] = start, size
        elif _MANIFEST.fullmatch(name):
            remaining -= size
            if remaining < 0:
                _refuse(f"manifests of more than {MAX_MANIFEST_BYTES >> 20} MiB")
            manifests[name] = b"".join(_blocks(archive, start, size))
        else:
            _refuse(_quoted(name))
    required = {digest for name, content in manifests.items() for digest in _blobs_of(name, content)}
    if not required or not required <= blobs.keys():
        raise NotModelsError("is missing parts of its models" if required else "has no models")
    return Models(manifests, {digest: blobs[digest] for digest in sorted(required)})


def _files(archive: IO[bytes]) -> Iterator[tuple[str, int, int]]:
    """Yield the name of each file in an archive, the offset of its content, and its length.

    Of the entry types of tar, only those that `save` writes are accepted: files, folders, and GNU long names (more than
    100 characters), which precede their entry. All other types, such as pax headers and links, are refused.
    """
    end = archive.seek(0, os.SEEK_END)
    position, long_name = 0, ""
    for _ in range(MAX_ENTRIES):
        block = b"".join(_blocks(archive, position, tarfile.BLOCKSIZE))
        if not any(block):
            return
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "backslashreplace")
        except tarfile.HeaderError as error:
            raise NotModelsError(f"is not an archive of models, or is incomplete: {error}") from error
        name, start = long_name or header.name, position + tarfile.BLOCKSIZE
        if not 0 <= header.size <= end - start:
            raise NotModelsError("is an incomplete archive: it ends too early")
        position = start + -(-header.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
        long_name = ""
        if header.type == tarfile.GNUTYPE_LONGNAME and header.size <= MAX_NAME_BYTES:
            long_name = b"".join(_blocks(archive, start, header.size)).rstrip(b"\0").decode(errors="backslashreplace")
        elif header.type in (tarfile.REGTYPE, tarfile.AREGTYPE):
            yield name, start, header.size
        elif header.type != tarfile.DIRTYPE:
            _refuse(f"{_quoted(name)}, which is neither a file nor a folder")
    _refuse(f"more than {MAX_ENTRIES} entries")


def _blocks(archive: IO[bytes], start: int, size: int) -> Iterator[bytes]:
    """Yield a part of an archive in blocks. Raises NotModelsError where the archive ends earlier."""
    while size:
        archive.seek(start)
        block = archive.read(min(size, _BLOCK))
        if not block:
            raise NotModelsError("is an incomplete archive: it ends too early")
        yield block
        start, size = start + len(block), size - len(block)


def _verified(archive: IO[bytes], digest: str, start: int, size: int) -> Iterator[bytes]:
    """Yield a blob again; raises NotModelsError instead of the last block where the digest no longer matches."""
    actual, last = hashlib.sha256(), b""
    for block in _blocks(archive, start, size):
        yield last
        actual.update(block)
        last = block
    if actual.hexdigest() != digest:
        raise NotModelsError("has changed since it was checked")
    yield last


def _digest(blocks: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()


def _blobs_of(name: str, manifest: bytes) -> set[str]:
    """Return the SHA-256 of each blob that a manifest (an OCI image manifest) refers to."""
    try:
        parsed = json.loads(manifest.decode(), object_pairs_hook=_members, parse_constant=_refuse_constant)
        return {_sha256(layer["digest"]) for layer in [parsed["config"], *(parsed["layers"] or ())]}
    except RecursionError as error:
        raise NotModelsError(f"is not an archive of models: {name} is nested too deeply") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotModelsError(f"is not an archive of models: {name} is not a manifest") from error


def _sha256(digest: str) -> str:
    match = re.fullmatch(r"sha256[:-]([0-9a-f]{64})", digest)
    if not match:
        raise ValueError("not a SHA-256 digest")
    return match[1]


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object. Names must be unique in any case: Ollama ignores case, and uses the last duplicate."""
    members = {name.casefold(): value for name, value in pairs}
    if len(members) != len(pairs):
        raise ValueError("duplicate name")
    return members


def _refuse_constant(text: str) -> NoReturn:
    """Refuse constants that Python accepts and JSON does not have, such as NaN."""
    raise ValueError(f"{text} is not valid JSON")


@contextmanager
def _packed(manifests: Mapping[str, bytes]) -> Iterator[IO[bytes]]:
    """Yield an archive of the manifests only."""
    with tempfile.TemporaryFile() as packed:
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
            for name, content in manifests.items():
                entry = tarfile.TarInfo(name)
                entry.size, entry.mtime = len(content), int(time.time())
                archive.addfile(entry, io.BytesIO(content))
        packed.seek(0)
        yield packed


@contextmanager
def _explained(subject: str, outcome: str, hint: str = "") -> Iterator[None]:
    try:
        yield
    except NotModelsError as error:
        raise DevaiError(f"{subject} {error}; {outcome}", hint=hint) from error


def _refuse(content: str) -> NoReturn:
    raise NotModelsError(f"is not an archive of models: it contains {content}")


def _quoted(name: str) -> str:
    """Return a name in an archive, quoted and shortened: it may be any text."""
    return f"{name!r:.100}"
