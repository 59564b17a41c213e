"""The models of a stack's own Ollama as one file: the way to a machine without a network.

An archive is what GNU tar writes of the folders `blobs` and `manifests`. It is read here and by nothing else, so that
what is checked is what is used: blobs go to the server's own upload, which looks at their digests, and manifests are
written as they were read. The server has no way of its own for these: it would make other ones of the same blobs.
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

# What Ollama keeps beside them is its own: a key by which hubs know it, and parts of what it has not got yet.
FOLDER, PARTS, UNFINISHED = "/models", ("blobs", "manifests"), "*-partial*"
# More than any models have, and no more than memory holds: a manifest has some kilobytes.
MOST_ENTRIES, MOST_BYTES, LONGEST_NAME = 100_000, 64 << 20, 4096
_BLOCK = 1 << 20
_BLOB = re.compile(r"blobs/sha256-([0-9a-f]{64})")
# Host, namespace, model and tag by Ollama's own grammar (its types/model/name.go).
_MANIFEST = re.compile(r"manifests/\w[\w.:-]{0,349}/\w[\w-]{0,79}/\w[\w.-]{0,79}/\w[\w.-]{0,79}", re.ASCII)


class NotModelsError(Exception):
    """An archive has something else in it than whole models."""


@dataclass(frozen=True)
class Models:
    """What an archive of whole models holds."""

    manifests: Mapping[str, bytes]
    """Content by path."""
    blobs: Mapping[str, tuple[int, int]]
    """Where the content of each begins in the archive and its length, by SHA-256; those only that manifests name."""


def save(containers: Compose, server: AbstractContextManager[Ollama], file: Path, shared: Sequence[Path]) -> None:
    """Write all models of a running stack to a file, which gets its name only once it is verified.

    Args:
        containers: those of the stack, with that of its Ollama.
        server: the same Ollama.
        file: the file to write.
        shared: folders in which the lab may have made links.

    Raises:
        UsageError: there are no models.
        DevaiError: what was written is not whole.
    """
    with server as ollama:
        present = ollama.models()
    if not present and not containers.dry:
        raise UsageError("there are no models to write", hint="`inv models.pull` brings some")
    command = ("tar", "--create", f"--directory={FOLDER}", f"--exclude={UNFINISHED}", *PARTS)
    if containers.dry:
        return containers.pipe(naming.OLLAMA, command)
    with console.step(f"writing {', '.join(present)} to {file}", silent=True), user_files.new(file, shared) as archive:
        containers.pipe(naming.OLLAMA, command, into=archive)
        with _explained(f"what Ollama has for {file}", "nothing was written", "try again when no model is pulled"):
            check(archive)


def restore(containers: Compose, server: AbstractContextManager[Ollama], file: Path, shared: Sequence[Path]) -> None:
    """Give a running stack the models of a file; those of the same names are replaced.

    The whole file is checked before any model is changed. Arguments are those of `save`.

    Raises:
        UsageError: the file does not exist.
        DevaiError: it is no archive of models, is not whole, or changes meanwhile.
    """
    with user_files.opened(file, shared) as archive, server as ollama:
        before = ollama.models()
        command = ("tar", "--extract", f"--directory={FOLDER}", "--no-same-owner")
        if containers.dry:
            return containers.pipe(naming.OLLAMA, command)
        with _explained(str(file), "nothing was imported"):
            with console.step(f"checking {file}", silent=True):
                found = check(archive)
            with console.step(f"importing {file}", silent=True), _packed(found.manifests) as manifests:
                for digest, (start, size) in found.blobs.items():
                    ollama.upload(digest, size, _verified(archive, digest, start, size))
                containers.pipe(naming.OLLAMA, command, given=manifests)
        for name in ollama.models():
            console.say(f"model {name}: {'present' if name in before else 'imported'}")


def check(archive: IO[bytes]) -> Models:
    """Read an archive to its end. Raises NotModelsError unless whole models are in it, and nothing else."""
    blobs: dict[str, tuple[int, int]] = {}
    manifests: dict[str, bytes] = {}
    room = MOST_BYTES
    for name, start, size in _files(archive):
        if blob := _BLOB.fullmatch(name):
            if blob[1] != _digest(_blocks(archive, start, size)):
                raise NotModelsError(f"is damaged: {name} is not what it was")
            blobs[blob[1]] = start, size
        elif _MANIFEST.fullmatch(name):
            room -= size
            if room < 0:
                _refuse(f"manifests of more than {MOST_BYTES >> 20} MiB")
            manifests[name] = b"".join(_blocks(archive, start, size))
        else:
            _refuse(_quoted(name))
    wanted = {digest for name, content in manifests.items() for digest in _named_by(name, content)}
    if not wanted or not wanted <= blobs.keys():
        raise NotModelsError(f"has {'not all parts of its' if wanted else 'no'} models")
    return Models(manifests, {digest: blobs[digest] for digest in sorted(wanted)})


def _files(archive: IO[bytes]) -> Iterator[tuple[str, int, int]]:
    """The name of each file in an archive, where its content begins, and its length.

    Of tar's many kinds of entries these are what `save` writes: files, folders, and names of more than 100 characters,
    which precede their entry. All others, among them those that rename or describe the next one, are refused.
    """
    end = archive.seek(0, os.SEEK_END)
    position, long_name = 0, ""
    for _ in range(MOST_ENTRIES):
        block = b"".join(_blocks(archive, position, tarfile.BLOCKSIZE))
        if not any(block):
            return
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "backslashreplace")
        except tarfile.HeaderError as error:
            raise NotModelsError(f"is no archive of models, or not all of it: {error}") from error
        name, start = long_name or header.name, position + tarfile.BLOCKSIZE
        if not 0 <= header.size <= end - start:
            raise NotModelsError("is not all of an archive: it ends too early")
        position = start + -(-header.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
        long_name = ""
        if header.type == tarfile.GNUTYPE_LONGNAME and header.size <= LONGEST_NAME:
            long_name = b"".join(_blocks(archive, start, header.size)).rstrip(b"\0").decode(errors="backslashreplace")
        elif header.type in (tarfile.REGTYPE, tarfile.AREGTYPE):
            yield name, start, header.size
        elif header.type != tarfile.DIRTYPE:
            _refuse(f"{_quoted(name)}, which is neither a file nor a folder")
    _refuse(f"more than {MOST_ENTRIES} entries")


def _blocks(archive: IO[bytes], start: int, size: int) -> Iterator[bytes]:
    """A part of an archive. Raises NotModelsError where the archive ends before it."""
    while size:
        archive.seek(start)
        block = archive.read(min(size, _BLOCK))
        if not block:
            raise NotModelsError("is not all of an archive: it ends too early")
        yield block
        start, size = start + len(block), size - len(block)


def _verified(archive: IO[bytes], digest: str, start: int, size: int) -> Iterator[bytes]:
    """A blob once more; raises NotModelsError instead of its last block where it is no longer what was checked."""
    found, last = hashlib.sha256(), b""
    for block in _blocks(archive, start, size):
        yield last
        found.update(block)
        last = block
    if found.hexdigest() != digest:
        raise NotModelsError("has changed since it was checked")
    yield last


def _digest(blocks: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()


def _named_by(name: str, manifest: bytes) -> set[str]:
    """The SHA-256 of each blob that a manifest (OCI's image manifest) names."""
    try:
        read = json.loads(manifest.decode(), object_pairs_hook=_members, parse_constant=_no_number)
        return {_sha256(layer["digest"]) for layer in [read["config"], *(read["layers"] or ())]}
    except RecursionError as error:
        raise NotModelsError(f"is no archive of models: {name} is nested too deeply") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotModelsError(f"is no archive of models: {name} is no manifest") from error


def _sha256(digest: str) -> str:
    found = re.fullmatch(r"sha256[:-]([0-9a-f]{64})", digest)
    if not found:
        raise ValueError("a digest that is none")
    return found[1]


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON. Ollama's reader knows names in any case, and takes the last of those that are the same."""
    members = {name.casefold(): value for name, value in pairs}
    if len(members) != len(pairs):
        raise ValueError("a name stands twice")
    return members


def _no_number(text: str) -> NoReturn:
    """For what Python alone takes for JSON, such as NaN."""
    raise ValueError(f"{text} is no JSON")


@contextmanager
def _packed(manifests: Mapping[str, bytes]) -> Iterator[IO[bytes]]:
    """An archive of manifests only."""
    with tempfile.TemporaryFile() as packed:
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
            for name, content in manifests.items():
                entry = tarfile.TarInfo(name)
                entry.size, entry.mtime = len(content), int(time.time())
                archive.addfile(entry, io.BytesIO(content))
        packed.seek(0)
        yield packed


@contextmanager
def _explained(what: str, outcome: str, hint: str = "") -> Iterator[None]:
    try:
        yield
    except NotModelsError as error:
        raise DevaiError(f"{what} {error}; {outcome}", hint=hint) from error


def _refuse(what: str) -> NoReturn:
    raise NotModelsError(f"is no archive of models: it has {what}")


def _quoted(name: str) -> str:
    """A name of an archive, which may be any text and long."""
    return f"{name!r:.100}"
