"""Archives of models: only complete models are accepted."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
from harness.settings import load

from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.engine.docker import Docker
from devai_tasks.models import archive as model_archive
from devai_tasks.system.errors import DevaiError, UsageError
from devai_tasks.targets.compose import deployment as compose
from devai_tasks.targets.compose import models as compose_models

# More than the buffer of a reader.
WEIGHTS, CONFIG = b"weights" * 100_000, b"config"
DAMAGED_WEIGHTS = b"WEIGHTS" * 100_000
MANIFEST = "manifests/registry.test/library/a/latest"


def blob(content: bytes) -> str:
    return f"blobs/sha256-{hashlib.sha256(content).hexdigest()}"


def manifest(*layers: bytes) -> bytes:
    digests = [{"digest": blob(content).removeprefix("blobs/").replace("-", ":")} for content in layers]
    return json.dumps({"config": digests[0], "layers": digests[1:]}).encode()


COMPLETE = {blob(WEIGHTS): WEIGHTS, blob(CONFIG): CONFIG, MANIFEST: manifest(CONFIG, WEIGHTS)}


@pytest.fixture
def archive(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes an archive of files, in the order of GNU tar."""

    def write(files: dict[str, bytes], *others: tarfile.TarInfo) -> Path:
        file = tmp_path / "models.tar"
        with tarfile.open(file, "w") as tar:
            for name, content in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
            for entry in others:
                tar.addfile(entry)
        return file

    return write


def link(name: str) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return entry


def check(file: Path) -> model_archive.Models:
    with file.open("rb") as stream:
        return model_archive.check(stream)


def test_complete_models_are_accepted(archive: Callable[..., Path]) -> None:
    digest = hashlib.sha256(WEIGHTS).hexdigest()
    file = archive({**COMPLETE, blob(b"unused"): b"unused"})
    models = check(file)
    assert models.manifests == {MANIFEST: COMPLETE[MANIFEST]}
    assert models.blobs.keys() == {digest, hashlib.sha256(CONFIG).hexdigest()}
    start, size = models.blobs[digest]
    assert file.read_bytes()[start : start + size] == WEIGHTS


def test_archive_by_gnu_tar_is_accepted(tmp_path: Path) -> None:
    """The archive has entries for folders, and a name of more than 100 characters."""
    long = f"manifests/{'h' * 60}.test/{'n' * 60}/a/latest"
    for name, content in {**COMPLETE, long: COMPLETE[MANIFEST]}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    file = tmp_path / "models.tar"
    subprocess.run(
        ["tar", "--create", "--format=gnu", f"--file={file}", "blobs", "manifests"], cwd=tmp_path, check=True
    )
    assert check(file).manifests.keys() == {MANIFEST, long}


@pytest.mark.parametrize(
    ("files", "others", "message"),
    [
        ({**COMPLETE, "../outside": b""}, [], r"it contains '\.\./outside'"),
        ({**COMPLETE, "/etc/passwd": b""}, [], "it contains '/etc/passwd'"),
        ({**COMPLETE, "manifests/../../x": b"{}"}, [], r"it contains 'manifests/\.\./\.\./x'"),
        ({**COMPLETE, "manifests/a/b/c/--d": b"{}"}, [], "it contains 'manifests/a/b/c/--d'"),
        ({**COMPLETE, "manifests/a/b/c": b"{}"}, [], "it contains 'manifests/a/b/c'"),
        ({**COMPLETE, ".ollama/id_ed25519": b"key"}, [], r"it contains '\.ollama/id_ed25519'"),
        ({**COMPLETE, "blobs/\x1b[2J": b""}, [], r"it contains 'blobs/\\x1b\[2J'"),
        ({**COMPLETE, "b" * 5000: b""}, [], "is not an archive of models: it contains"),
        (COMPLETE, [link("blobs/sha256-" + "0" * 64)], "it contains 'blobs/.* which is neither a file nor a folder"),
        (COMPLETE, [link("manifests/a")], "it contains 'manifests/a'"),
        ({**COMPLETE, blob(WEIGHTS): DAMAGED_WEIGHTS}, [], "is damaged: blobs/"),
        ({name: content for name, content in COMPLETE.items() if content != WEIGHTS}, [], "is missing parts"),
        ({blob(WEIGHTS): WEIGHTS}, [], "has no models"),
        ({**COMPLETE, MANIFEST: b"[]"}, [], "latest is not a manifest"),
        ({**COMPLETE, MANIFEST: b"{"}, [], "latest is not a manifest"),
        ({**COMPLETE, MANIFEST: b'{"x": NaN, ' + COMPLETE[MANIFEST][1:]}, [], "latest is not a manifest"),
        ({**COMPLETE, MANIFEST: b'{"Config": {}, ' + COMPLETE[MANIFEST][1:]}, [], "latest is not a manifest"),
        ({**COMPLETE, MANIFEST: COMPLETE[MANIFEST].decode().encode("utf-16")}, [], "latest is not a manifest"),
        ({**COMPLETE, MANIFEST: b"[" * 200_000}, [], "latest is nested too deeply"),
        ({}, [], "has no models"),
    ],
)  # fmt: skip
def test_other_content_is_refused_with_its_name(
    archive: Callable[..., Path], files: dict[str, bytes], others: list[tarfile.TarInfo], message: str
) -> None:
    with pytest.raises(model_archive.NotModelsError, match=message):
        check(archive(files, *others))


def test_header_that_renames_a_file_is_refused(archive: Callable[..., Path]) -> None:
    """Python uses the last of both names, GNU tar the first."""
    file = archive(COMPLETE)
    entry = tarfile.TarInfo(blob(b"planted"))
    entry.size = len(b"planted")
    entry.pax_headers = {"GNU.sparse.name": ".ollama/id_ed25519", "path": entry.name}
    with tarfile.open(file, "a") as tar:
        tar.addfile(entry, io.BytesIO(b"planted"))
    with pytest.raises(model_archive.NotModelsError, match="neither a file nor a folder"):
        check(file)


def test_archive_with_too_many_entries_is_refused(
    archive: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_archive, "MAX_ENTRIES", 2)
    with pytest.raises(model_archive.NotModelsError, match="it contains more than 2 entries"):
        check(archive(COMPLETE))


def test_too_large_manifests_are_refused(archive: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_archive, "MAX_MANIFEST_BYTES", 1 << 20)
    with pytest.raises(model_archive.NotModelsError, match="it contains manifests of more than 1 MiB"):
        check(archive({**COMPLETE, MANIFEST: b" " * (1 << 20), f"{MANIFEST}2": b" "}))


def test_negative_length_is_refused(archive: Callable[..., Path]) -> None:
    """Numbers in tar's base-256 encoding may be negative."""
    file = archive({})
    entry = tarfile.TarInfo(blob(WEIGHTS))
    entry.size = -1024
    file.write_bytes(entry.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(model_archive.NotModelsError, match="ends too early"):
        check(file)


@pytest.mark.parametrize("length", [0, 100, 1024, 1500])
def test_truncated_archive_is_refused(archive: Callable[..., Path], length: int) -> None:
    file = archive(COMPLETE)
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(model_archive.NotModelsError, match="ends too early"):
        check(file)


class FakeServer:
    """Fake of Ollama and its container; the smoke tests have the real ones."""

    dry = False

    def __init__(self, before_upload: Callable[[], object] = lambda: None) -> None:
        self.before_upload = before_upload
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.archive = b""

    def models(self) -> dict[str, int]:
        """Return one model."""
        return {"a:latest": 1}

    def upload(self, digest: str, size: int, content: Iterator[bytes]) -> None:
        """Store a blob."""
        self.before_upload()
        self.blobs[digest] = b"".join(content)
        assert len(self.blobs[digest]) == size

    def pipe(self, service: str, command: Sequence[str], *, given: Any = None, into: Any = None) -> None:
        """Write the server's archive to `into`, or read manifests from `given`."""
        assert (service, command[0]) == ("ollama", "tar")
        if into:
            into.write(self.archive)
            return
        with tarfile.open(fileobj=given) as packed:
            for entry in packed:
                content = packed.extractfile(entry)
                assert content
                self.manifests[entry.name] = content.read()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeServer]:
    """Return a function that replaces the server; it takes a function to call before each upload."""

    def start(before_upload: Callable[[], object] = lambda: None) -> FakeServer:
        server = FakeServer(before_upload)
        monkeypatch.setattr(compose_models, "server", lambda *_: nullcontext(server))
        monkeypatch.setattr(compose, "compose", lambda *_: server)
        return server

    return start


def test_import_reads_the_file_that_was_checked(
    serve: Callable[..., FakeServer], archive: Callable[..., Path], project: Project, tmp_path: Path
) -> None:
    """During the import, the name refers to another file."""
    file = archive(COMPLETE)
    other = tmp_path / "other"
    other.write_bytes(b"another file")
    server = serve(lambda: other.exists() and other.replace(file))
    compose_models.restore(project, load(project, Stack("dev", "local"), environ={}), Docker(), file)
    assert server.blobs == {hashlib.sha256(content).hexdigest(): content for content in (WEIGHTS, CONFIG)}
    assert server.manifests == {MANIFEST: COMPLETE[MANIFEST]}


@pytest.mark.parametrize("change", [lambda content: content.replace(WEIGHTS, DAMAGED_WEIGHTS), lambda _: b""])
def test_file_that_changes_after_its_check_is_not_imported(
    serve: Callable[..., FakeServer], archive: Callable[..., Path], project: Project, change: Callable[[bytes], bytes]
) -> None:
    file = archive(COMPLETE)
    server = serve(lambda: file.write_bytes(change(file.read_bytes())))
    with pytest.raises(DevaiError, match="nothing was imported"):
        compose_models.restore(project, load(project, Stack("dev", "local"), environ={}), Docker(), file)
    assert hashlib.sha256(WEIGHTS).hexdigest() not in server.blobs
    assert server.manifests == {}


def test_incomplete_export_is_not_written(
    serve: Callable[..., FakeServer], archive: Callable[..., Path], project: Project, tmp_path: Path
) -> None:
    complete = archive(COMPLETE).read_bytes()
    server, file = serve(), tmp_path / "exported.tar"
    settings = load(project, Stack("dev", "local"), environ={})
    server.archive = complete.replace(WEIGHTS, DAMAGED_WEIGHTS)
    with pytest.raises(DevaiError, match=r"is damaged: .* nothing was written"):
        compose_models.export(project, settings, Docker(), file)
    assert not list(tmp_path.glob("exported*"))
    server.archive = complete
    compose_models.export(project, settings, Docker(), file)
    assert file.read_bytes() == complete


def test_export_does_not_overwrite_a_file(project: Project, tmp_path: Path) -> None:
    file = tmp_path / "mine.tar"
    file.write_text("mine", encoding="utf-8")
    settings = load(project, Stack("dev", "local"), environ={})
    with pytest.raises(UsageError, match="exists; name another file"):
        compose_models.export(project, settings, Docker(dry=True), file)
    assert file.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("name", ["exported.tar.part", "exported.tar"])
def test_export_does_not_follow_links(
    serve: Callable[..., FakeServer], archive: Callable[..., Path], project: Project, tmp_path: Path, name: str
) -> None:
    """A notebook may create a link in the work folder."""
    victim = tmp_path / "victim"
    victim.write_text("mine", encoding="utf-8")
    (tmp_path / name).symlink_to(victim)
    serve().archive = archive(COMPLETE).read_bytes()
    with suppress(UsageError):
        compose_models.export(
            project, load(project, Stack("dev", "local"), environ={}), Docker(), tmp_path / "exported.tar"
        )
    assert victim.read_text(encoding="utf-8") == "mine"
    assert (tmp_path / name).is_symlink()


def test_models_of_an_external_server_are_not_exported(project: Project, tmp_path: Path) -> None:
    settings = load(project, Stack("dev", "local"), ["ollama.mode=host"], environ={})
    with pytest.raises(UsageError, match="a server outside the stack"):
        compose_models.export(project, settings, Docker(dry=True), tmp_path / "models.tar")
