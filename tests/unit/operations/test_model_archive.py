"""Archives of models: nothing but whole models gets through."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from devai_tasks.config.load import load
from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.errors import DevaiError, UsageError
from devai_tasks.operations import model_archive
from devai_tasks.tools.docker import Docker

WEIGHTS, CONFIG = b"weights", b"config"
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


def test_whole_models_pass(archive: Callable[..., Path]) -> None:
    model_archive.check(archive(WHOLE))


@pytest.mark.parametrize(
    ("files", "others", "words"),
    [
        ({**WHOLE, "../outside": b""}, [], r"it has \.\./outside"),
        ({**WHOLE, "/etc/passwd": b""}, [], "it has /etc/passwd"),
        ({**WHOLE, "manifests/../../x": b"{}"}, [], r"it has manifests/\.\./\.\./x"),
        ({**WHOLE, ".ollama/id_ed25519": b"key"}, [], r"it has \.ollama/id_ed25519"),
        (WHOLE, [link("blobs/sha256-" + "0" * 64)], "it has blobs/"),
        (WHOLE, [link("manifests/a")], "it has manifests/a"),
        ({**WHOLE, blob(WEIGHTS): b"others"}, [], "is damaged: blobs/"),
        ({name: content for name, content in WHOLE.items() if content != WEIGHTS}, [], "has not all parts"),
        ({blob(WEIGHTS): WEIGHTS}, [], "has no models"),
        ({**WHOLE, MANIFEST: b"[]"}, [], "a manifest that is none"),
        ({**WHOLE, MANIFEST: b"{"}, [], "is no archive of models, or not all of it"),
        ({}, [], "has no models"),
    ],
)  # fmt: skip
def test_anything_else_is_refused_and_named(
    archive: Callable[..., Path], files: dict[str, bytes], others: list[tarfile.TarInfo], words: str
) -> None:
    with pytest.raises(DevaiError, match=words):
        model_archive.check(archive(files, *others))


@pytest.mark.parametrize("length", [0, 100, 1500])
def test_a_file_that_ends_too_early_is_refused(archive: Callable[..., Path], length: int) -> None:
    file = archive(WHOLE)
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(DevaiError, match="nothing was imported"):
        model_archive.check(file)


def test_a_file_that_is_there_is_not_written_over(project: Project, tmp_path: Path) -> None:
    file = tmp_path / "mine.tar"
    file.write_text("mine", encoding="utf-8")
    settings = load(project, Stack("dev", "local"), environ={})
    with pytest.raises(UsageError, match="is there already"):
        model_archive.save(project, settings, Docker(dry=True), file)
    assert file.read_text(encoding="utf-8") == "mine"


def test_the_models_of_another_server_are_its_own(project: Project, tmp_path: Path) -> None:
    settings = load(project, Stack("dev", "local"), ["ollama.mode=host"], environ={})
    with pytest.raises(UsageError, match="another server's"):
        model_archive.save(project, settings, Docker(dry=True), tmp_path / "models.tar")
