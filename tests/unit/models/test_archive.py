"""Archives of models: nothing but whole models gets through."""

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

# More than a reader keeps in memory.
WEIGHTS, CONFIG = b"weights" * 100_000, b"config"
OTHERS = b"WEIGHTS" * 100_000
MANIFEST = "manifests/registry.test/library/a/latest"


def blob(content: bytes) -> str:
    return f"blobs/sha256-{hashlib.sha256(content).hexdigest()}"


def manifest(*layers: bytes) -> bytes:
    digests = [{"digest": blob(content).removeprefix("blobs/").replace("-", ":")} for content in layers]
    return json.dumps({"config": digests[0], "layers": digests[1:]}).encode()


WHOLE = {blob(WEIGHTS): WEIGHTS, blob(CONFIG): CONFIG, MANIFEST: manifest(CONFIG, WEIGHTS)}


@pytest.fixture
def archive(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes an archive of files, as GNU tar orders them."""

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


def test_whole_models_pass(archive: Callable[..., Path]) -> None:
    digest = hashlib.sha256(WEIGHTS).hexdigest()
    file = archive({**WHOLE, blob(b"nobody's"): b"nobody's"})
    found = check(file)
    assert found.manifests == {MANIFEST: WHOLE[MANIFEST]}
    assert found.blobs.keys() == {digest, hashlib.sha256(CONFIG).hexdigest()}
    start, size = found.blobs[digest]
    assert file.read_bytes()[start : start + size] == WEIGHTS


def test_what_tar_writes_of_a_folder_passes(tmp_path: Path) -> None:
    """GNU tar itself, with folders and a name of more than 100 characters."""
    long = f"manifests/{'h' * 60}.test/{'n' * 60}/a/latest"
    for name, content in {**WHOLE, long: WHOLE[MANIFEST]}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    file = tmp_path / "models.tar"
    subprocess.run(
        ["tar", "--create", "--format=gnu", f"--file={file}", "blobs", "manifests"], cwd=tmp_path, check=True
    )
    assert check(file).manifests.keys() == {MANIFEST, long}


@pytest.mark.parametrize(
    ("files", "others", "words"),
    [
        ({**WHOLE, "../outside": b""}, [], r"it contains '\.\./outside'"),
        ({**WHOLE, "/etc/passwd": b""}, [], "it contains '/etc/passwd'"),
        ({**WHOLE, "manifests/../../x": b"{}"}, [], r"it contains 'manifests/\.\./\.\./x'"),
        ({**WHOLE, "manifests/a/b/c/--d": b"{}"}, [], "it contains 'manifests/a/b/c/--d'"),
        ({**WHOLE, "manifests/a/b/c": b"{}"}, [], "it contains 'manifests/a/b/c'"),
        ({**WHOLE, ".ollama/id_ed25519": b"key"}, [], r"it contains '\.ollama/id_ed25519'"),
        ({**WHOLE, "blobs/\x1b[2J": b""}, [], r"it contains 'blobs/\\x1b\[2J'"),
        ({**WHOLE, "b" * 5000: b""}, [], "is not an archive of models: it contains"),
        (WHOLE, [link("blobs/sha256-" + "0" * 64)], "it contains 'blobs/.* which is neither a file nor a folder"),
        (WHOLE, [link("manifests/a")], "it contains 'manifests/a'"),
        ({**WHOLE, blob(WEIGHTS): OTHERS}, [], "is damaged: blobs/"),
        ({name: content for name, content in WHOLE.items() if content != WEIGHTS}, [], "is missing parts"),
        ({blob(WEIGHTS): WEIGHTS}, [], "has no models"),
        ({**WHOLE, MANIFEST: b"[]"}, [], "latest is not a manifest"),
        ({**WHOLE, MANIFEST: b"{"}, [], "latest is not a manifest"),
        ({**WHOLE, MANIFEST: b'{"x": NaN, ' + WHOLE[MANIFEST][1:]}, [], "latest is not a manifest"),
        ({**WHOLE, MANIFEST: b'{"Config": {}, ' + WHOLE[MANIFEST][1:]}, [], "latest is not a manifest"),
        ({**WHOLE, MANIFEST: WHOLE[MANIFEST].decode().encode("utf-16")}, [], "latest is not a manifest"),
        ({**WHOLE, MANIFEST: b"[" * 200_000}, [], "latest is nested too deeply"),
        ({}, [], "has no models"),
    ],
)  # fmt: skip
def test_anything_else_is_refused_and_named(
    archive: Callable[..., Path], files: dict[str, bytes], others: list[tarfile.TarInfo], words: str
) -> None:
    with pytest.raises(model_archive.NotModelsError, match=words):
        check(archive(files, *others))


def test_a_header_that_renames_a_file_is_refused(archive: Callable[..., Path]) -> None:
    """Python's reader takes the last of both names, GNU tar the first."""
    file = archive(WHOLE)
    entry = tarfile.TarInfo(blob(b"planted"))
    entry.size = len(b"planted")
    entry.pax_headers = {"GNU.sparse.name": ".ollama/id_ed25519", "path": entry.name}
    with tarfile.open(file, "a") as tar:
        tar.addfile(entry, io.BytesIO(b"planted"))
    with pytest.raises(model_archive.NotModelsError, match="neither a file nor a folder"):
        check(file)


def test_an_archive_of_more_entries_than_models_have_is_refused(
    archive: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_archive, "MAX_ENTRIES", 2)
    with pytest.raises(model_archive.NotModelsError, match="it contains more than 2 entries"):
        check(archive(WHOLE))


def test_manifests_that_fill_the_memory_are_refused(
    archive: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_archive, "MAX_MANIFEST_BYTES", 1 << 20)
    with pytest.raises(model_archive.NotModelsError, match="it contains manifests of more than 1 MiB"):
        check(archive({**WHOLE, MANIFEST: b" " * (1 << 20), f"{MANIFEST}2": b" "}))


def test_a_length_that_leads_back_is_refused(archive: Callable[..., Path]) -> None:
    """Where tar writes numbers in base 256, they may be negative."""
    file = archive({})
    entry = tarfile.TarInfo(blob(WEIGHTS))
    entry.size = -1024
    file.write_bytes(entry.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(model_archive.NotModelsError, match="ends too early"):
        check(file)


@pytest.mark.parametrize("length", [0, 100, 1024, 1500])
def test_a_file_that_ends_too_early_is_refused(archive: Callable[..., Path], length: int) -> None:
    file = archive(WHOLE)
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(model_archive.NotModelsError, match="ends too early"):
        check(file)


class Server:
    """In the place of a running Ollama and its container, which the smoke tests have."""

    dry = False

    def __init__(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.meanwhile = meanwhile
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.archive = b""

    def models(self) -> dict[str, int]:
        """One, whatever happens."""
        return {"a:latest": 1}

    def upload(self, digest: str, size: int, content: Iterator[bytes]) -> None:
        """Keep a blob."""
        self.meanwhile()
        self.blobs[digest] = b"".join(content)
        assert len(self.blobs[digest]) == size

    def pipe(self, service: str, command: Sequence[str], *, given: Any = None, into: Any = None) -> None:
        """Write its archive, or read another."""
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
def serving(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Server]:
    """A function that returns a server for `save` and `restore`; what it is given runs before each upload."""

    def serve(meanwhile: Callable[[], object] = lambda: None) -> Server:
        server = Server(meanwhile)
        monkeypatch.setattr(compose_models, "server", lambda *_: nullcontext(server))
        monkeypatch.setattr(compose, "compose", lambda *_: server)
        return server

    return serve


def test_what_is_imported_is_what_was_checked(
    serving: Callable[..., Server], archive: Callable[..., Path], project: Project, tmp_path: Path
) -> None:
    """Although the name is another file's by then."""
    file = archive(WHOLE)
    other = tmp_path / "other"
    other.write_bytes(b"another file")
    server = serving(lambda: other.exists() and other.replace(file))
    compose_models.restore(project, load(project, Stack("dev", "local"), environ={}), Docker(), file)
    assert server.blobs == {hashlib.sha256(content).hexdigest(): content for content in (WEIGHTS, CONFIG)}
    assert server.manifests == {MANIFEST: WHOLE[MANIFEST]}


@pytest.mark.parametrize("change", [lambda content: content.replace(WEIGHTS, OTHERS), lambda _: b""])
def test_a_file_that_changes_after_its_check_changes_no_model(
    serving: Callable[..., Server], archive: Callable[..., Path], project: Project, change: Callable[[bytes], bytes]
) -> None:
    file = archive(WHOLE)
    server = serving(lambda: file.write_bytes(change(file.read_bytes())))
    with pytest.raises(DevaiError, match="nothing was imported"):
        compose_models.restore(project, load(project, Stack("dev", "local"), environ={}), Docker(), file)
    assert hashlib.sha256(WEIGHTS).hexdigest() not in server.blobs
    assert server.manifests == {}


def test_an_export_that_is_not_whole_gets_no_name(
    serving: Callable[..., Server], archive: Callable[..., Path], project: Project, tmp_path: Path
) -> None:
    whole = archive(WHOLE).read_bytes()
    server, file = serving(), tmp_path / "exported.tar"
    settings = load(project, Stack("dev", "local"), environ={})
    server.archive = whole.replace(WEIGHTS, OTHERS)
    with pytest.raises(DevaiError, match=r"is damaged: .* nothing was written"):
        compose_models.export(project, settings, Docker(), file)
    assert not list(tmp_path.glob("exported*"))
    server.archive = whole
    compose_models.export(project, settings, Docker(), file)
    assert file.read_bytes() == whole


def test_a_file_that_is_there_is_not_written_over(project: Project, tmp_path: Path) -> None:
    file = tmp_path / "mine.tar"
    file.write_text("mine", encoding="utf-8")
    settings = load(project, Stack("dev", "local"), environ={})
    with pytest.raises(UsageError, match="exists; name another file"):
        compose_models.export(project, settings, Docker(dry=True), file)
    assert file.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("name", ["exported.tar.part", "exported.tar"])
def test_an_export_writes_through_no_link(
    serving: Callable[..., Server], archive: Callable[..., Path], project: Project, tmp_path: Path, name: str
) -> None:
    """A notebook may make one in the work folder."""
    victim = tmp_path / "victim"
    victim.write_text("mine", encoding="utf-8")
    (tmp_path / name).symlink_to(victim)
    serving().archive = archive(WHOLE).read_bytes()
    with suppress(UsageError):
        compose_models.export(
            project, load(project, Stack("dev", "local"), environ={}), Docker(), tmp_path / "exported.tar"
        )
    assert victim.read_text(encoding="utf-8") == "mine"
    assert (tmp_path / name).is_symlink()


def test_the_models_of_another_server_are_its_own(project: Project, tmp_path: Path) -> None:
    settings = load(project, Stack("dev", "local"), ["ollama.mode=host"], environ={})
    with pytest.raises(UsageError, match="a server outside the stack"):
        compose_models.export(project, settings, Docker(dry=True), tmp_path / "models.tar")
