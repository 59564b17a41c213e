"""Backup and restore of a home: addresses, checks of archives, and errors. tests/smoke and tests/cluster run both."""

from __future__ import annotations

import errno
import gzip
import io
import json
import os
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import pytest
from harness.settings import load

from devai_tasks.clouds.terraform import TerraformCloud
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.config.stack import Stack
from devai_tasks.stack import backup as data
from devai_tasks.system import http
from devai_tasks.system.errors import DevaiError, UsageError
from devai_tasks.targets import addresses
from devai_tasks.targets.terraform import deployment as terraform
from devai_tasks.workspace import backup_files, work_folders

MIB = 2**20


def packed(**files: bytes) -> bytes:
    """Return an archive of files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


HOME = packed(notes=b"notes", data=bytes(1000))


def check(project: Project, settings: Settings, file: Path) -> None:
    """Open an archive as data.restore does."""
    with data.opened(project, settings, file):
        pass


RequestedUrl = Callable[[str, dict[str, str]], str]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A sparse file of 40 MiB."""
    file = tmp_path / "home.tar.gz"
    file.touch()
    os.truncate(file, 40 * MIB)
    return file


def test_archive_larger_than_a_request_to_cloud_run_is_refused(shipped: Project, archive: Path) -> None:
    settings = load(shipped, Stack("dev", "gcp"), ["compute.platform=simple"], environ={})
    with pytest.raises(UsageError, match=r"has 40 MiB.*32 MiB in one request.*gcloud storage rsync .* gs://devaidev"):
        check(shipped, settings, archive)
    os.truncate(archive, 32 * MIB)
    check(shipped, settings, archive)


@pytest.mark.parametrize(("cloud", "platform"), [("gcp", "kubernetes"), ("aws", "simple"), ("local", "kubernetes")])
def test_archive_of_any_size_is_accepted_by_other_platforms(
    shipped: Project, archive: Path, cloud: str, platform: str
) -> None:
    check(shipped, load(shipped, Stack("dev", cloud), [f"compute.platform={platform}"], environ={}), archive)


@pytest.fixture
def requested_url(shipped: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> RequestedUrl:
    """A function that returns the URL of a backup of managed containers, for a host name and Terraform's outputs."""

    def back_up(host: str, outputs: dict[str, str]) -> str:
        urls: list[str] = []

        @contextmanager
        def work(*_: object, **__: object) -> Iterator[SimpleNamespace]:
            yield SimpleNamespace(tool=SimpleNamespace(outputs=lambda: outputs))

        def download(server: http.Server, file: IO[bytes]) -> dict[str, str]:
            urls.append(server.url)
            file.write(HOME)
            return {}

        monkeypatch.setattr(terraform, "work", work)
        monkeypatch.setattr(terraform, "prepare", lambda _: None)
        monkeypatch.setattr(TerraformCloud, "token", lambda *_, **__: "token")
        monkeypatch.setattr(http, "download", download)
        settings = load(shipped, Stack("dev", "aws"), ["compute.platform=simple", f"ingress.host={host}"], environ={})
        data.backup(shipped, settings, tmp_path / f"home-{len(list(tmp_path.iterdir()))}.tar.gz")
        return "".join(urls)

    return back_up


def test_backup_uses_the_host_name_of_the_lab(requested_url: RequestedUrl) -> None:
    assert (
        requested_url("lab.corp.test", {"url": "https://balancer.test/"}) == "https://lab.corp.test/devai/home.tar.gz"
    )


def test_backup_without_a_host_name_uses_the_load_balancer(requested_url: RequestedUrl) -> None:
    assert requested_url("", {"url": "https://balancer.test/lab/"}) == "https://balancer.test/lab/devai/home.tar.gz"
    with pytest.raises(UsageError, match="aws-dev has no address yet; `inv up"):
        requested_url("", {})


@dataclass
class Lab:
    """A fake for the lab's server, or for another server at its address; tests/smoke uses the real server."""

    project: Project
    folder: Path
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/gzip"})
    body: bytes = HOME
    missing: int = 0
    """Number of bytes that the header announces and the body does not contain."""
    before_body: Callable[[], None] = lambda: None
    """Called while the client waits for the body of the answer."""

    @property
    def settings(self) -> Settings:
        """Settings of the stack."""
        return load(self.project, Stack("dev", "aws"), ["compute.platform=simple"], environ={})

    @property
    def file(self) -> Path:
        """File of the backup."""
        return self.folder / "home.tar.gz"

    def backup(self) -> data.Backup:
        """Create a backup."""
        backup = data.backup(self.project, self.settings, self.file)
        assert backup
        return backup

    def restore(self) -> data.Restored | None:
        """Restore the backup."""
        with data.opened(self.project, self.settings, self.file) as archive:
            return data.restore(self.project, self.settings, archive)

    def files(self) -> list[str]:
        """Return the names in the folder of backups."""
        return sorted(path.name for path in self.folder.iterdir())


@pytest.fixture
def lab(shipped: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    folder = tmp_path / "backups"
    folder.mkdir()
    fake = Lab(shipped, folder)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(fake.status)
            for name, value in fake.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(fake.body) + fake.missing))
            self.end_headers()
            fake.before_body()
            self.wfile.write(fake.body)

        def do_PUT(self) -> None:
            while size := int(self.rfile.readline(), 16):  # chunks
                self.rfile.read(size + 2)
            self.rfile.readline()
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        monkeypatch.setattr(addresses, "url", lambda _: f"http://127.0.0.1:{server.server_port}/lab/")
        monkeypatch.setattr(TerraformCloud, "token", lambda *_, **__: "token")
        yield fake
        server.shutdown()


def test_backup_is_verified_and_has_a_checksum(lab: Lab) -> None:
    lab.headers["Devai-Mounts"] = "datasets, my%20data"
    backup = lab.backup()
    assert backup.content == backup_files.Content(files=2, bytes=1005)
    assert backup.size == len(HOME)
    assert list(backup.left_out) == ["datasets", "my data"]
    assert lab.files() == ["home.tar.gz", "home.tar.gz.sha256"]
    assert lab.file.read_bytes() == HOME
    assert lab.file.stat().st_mode & 0o777 == 0o600
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", backup.checksum.name],
        cwd=lab.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert checked.stdout == "home.tar.gz: OK\n"


LOGIN = {"Location": "/lab/login?next=%2Flab%2Fdevai%2Fhome.tar.gz"}
PAGE = {"Content-Type": "text/html; charset=UTF-8"}
CUT_TAR = gzip.compress(gzip.decompress(HOME)[:1600])
INVALID_ANSWERS: dict[str, tuple[dict[str, Any], str]] = {
    "a redirect to the login": (
        {"status": 302, "headers": LOGIN, "body": b""},
        "home.tar.gz refuses the token; `inv up --env=dev --cloud=aws .*` starts the lab with the token of this stack",
    ),
    "a refusal": ({"status": 403, "headers": PAGE}, "refuses the token; `inv up"),
    "a redirect elsewhere": (
        {"status": 302, "headers": {"Location": "https://sso.test/login"}, "body": b""},
        "redirects to https://sso.test/login",
    ),
    "no such path": ({"status": 404, "headers": PAGE}, "answers 404 Not Found; the lab's image is older than this"),
    "a failure": ({"status": 502, "headers": PAGE}, "answers 502 Bad Gateway"),
    "a page": ({"headers": PAGE, "body": b"<html>"}, "answers with text/html in place of application/gzip"),
    "no content type": ({"headers": {}}, "answers with no content type"),
    "a truncated answer": ({"missing": 1}, "home.tar.gz: peer closed connection"),
    "an empty body": ({"body": b""}, "incomplete or damaged"),
    "no archive": ({"body": b"text" * 1000}, "incomplete or damaged"),
    "truncated compressed data": ({"body": HOME[:-20]}, "incomplete or damaged"),
    "compressed data without its checksum": ({"body": HOME[:-8]}, "incomplete or damaged"),
    "a truncated archive in complete compressed data": (
        {"body": CUT_TAR},
        "incomplete or damaged .truncated within a file",
    ),
    "no end-of-archive marker": (
        {"body": gzip.compress(gzip.decompress(HOME)[:1024])},
        "incomplete or damaged .end-of-archive marker missing",
    ),
    "a damaged header": ({"body": gzip.compress(b"x" * 512 + bytes(1024))}, "incomplete or damaged"),
}


@pytest.mark.parametrize(("answer", "message"), INVALID_ANSWERS.values(), ids=INVALID_ANSWERS)
def test_invalid_answer_is_an_error_and_leaves_no_file(lab: Lab, answer: dict[str, Any], message: str) -> None:
    for name, value in answer.items():
        setattr(lab, name, value)
    with pytest.raises(DevaiError, match=message) as failure:
        lab.backup()
    assert failure.value.exit_code == 1
    assert lab.files() == []


@pytest.mark.parametrize("make", [Path.touch, lambda file: file.symlink_to("nowhere")])
def test_existing_file_is_not_overwritten(lab: Lab, make: Callable[[Path], None]) -> None:
    make(lab.file)
    with pytest.raises(UsageError, match="exists; name another file"):
        lab.backup()
    assert lab.files() == ["home.tar.gz"]


@pytest.mark.parametrize("has_links", [True, False])
def test_file_created_during_the_backup_is_not_overwritten(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, *, has_links: bool
) -> None:
    verify = backup_files.verify

    def verify_and_create_file(archive: IO[bytes]) -> backup_files.Content:
        lab.file.write_text("another program's")
        return verify(archive)

    monkeypatch.setattr(backup_files, "verify", verify_and_create_file)
    if not has_links:
        forbid_links(monkeypatch)
    with pytest.raises(UsageError, match=r"another program created .* in the meantime"):
        lab.backup()
    assert lab.file.read_text() == "another program's"
    assert lab.files() == ["home.tar.gz"]


def test_existing_checksum_file_is_not_overwritten(lab: Lab) -> None:
    (lab.folder / "home.tar.gz.sha256").write_text("mine")
    with pytest.raises(UsageError, match=r"home.tar.gz.sha256 exists; name another file"):
        lab.backup()
    assert lab.files() == ["home.tar.gz.sha256"]


@pytest.mark.parametrize("has_links", [True, False])
def test_backup_does_not_follow_links_that_the_lab_creates(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, *, has_links: bool
) -> None:
    """The lab knows when the file is written, because the lab sends the content."""
    victim = lab.project.root / "tasks.py"
    before = victim.read_bytes()

    def plant() -> None:
        for file in lab.folder.iterdir():
            file.unlink()
            file.symlink_to(victim)

    lab.before_body = plant
    if not has_links:
        forbid_links(monkeypatch)
    with pytest.raises(DevaiError, match=r"another program changed .*home.tar.gz while it was written"):
        lab.backup()
    assert victim.read_bytes() == before
    assert lab.files() == []


@pytest.mark.parametrize("work_folder_of", ["this stack", "another project"])
def test_linked_folder_inside_a_work_folder_is_refused(lab: Lab, tmp_path: Path, work_folder_of: str) -> None:
    """Outside of work folders, a folder may be a link, because notebooks cannot create links there."""
    work, private, outside = tmp_path / "work", tmp_path / "private", tmp_path / "outside"
    for folder in (work, private):
        folder.mkdir()
    lab.backup()
    lab.file.rename(private / "home.tar.gz")
    for link in (work / "dir", outside):
        link.symlink_to(private)
    settings = lab.settings
    if work_folder_of == "this stack":
        settings = replace(settings, storage=replace(settings.storage, work_dir=str(work)))
    else:
        work_folders.record(work_folders.WorkFolder(work, tmp_path / "other", "local-dev"))
    before = sorted(private.iterdir())
    with pytest.raises(UsageError, match=r"work/dir is a link, and notebooks can create links in .*work"):
        data.backup(lab.project, settings, work / "dir/new.tar.gz")
    with (
        pytest.raises(UsageError, match=r"work/dir is a link"),
        data.opened(lab.project, settings, work / "dir/home.tar.gz"),
    ):
        pass
    assert sorted(private.iterdir()) == before
    check(lab.project, settings, outside / "home.tar.gz")
    assert data.backup(lab.project, settings, outside / "new.tar.gz")


def test_folder_replaced_with_a_link_during_the_backup_is_refused(lab: Lab, tmp_path: Path) -> None:
    work, private = tmp_path / "work", tmp_path / "private"
    (work / "dir").mkdir(parents=True)
    private.mkdir()
    settings = replace(lab.settings, storage=replace(lab.settings.storage, work_dir=str(work)))

    def swap() -> None:
        (work / "dir").rename(work / "moved")
        (work / "dir").symlink_to(private)

    lab.before_body = swap
    with pytest.raises(UsageError, match=r"work/dir is a link"):
        data.backup(lab.project, settings, work / "dir/home.tar.gz")
    assert list(private.iterdir()) == []


def test_restore_refuses_a_link(lab: Lab) -> None:
    """The lab would get the content of the link's target, which may be any file of the caller."""
    lab.file.symlink_to(lab.project.root / "tasks.py")
    with pytest.raises(UsageError, match=r"home.tar.gz is a link; use the target of the link"):
        lab.restore()


def forbid_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make creation of hard links fail, as on a file system without them."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no links")

    monkeypatch.setattr(os, "link", refuse)


def test_backup_works_on_a_file_system_without_hard_links(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_links(monkeypatch)
    assert lab.backup().content.files == 2
    assert lab.file.read_bytes() == HOME
    assert lab.files() == ["home.tar.gz", "home.tar.gz.sha256"]


def test_restore_refuses_an_archive_that_does_not_match_its_checksum(lab: Lab) -> None:
    lab.backup()
    check(lab.project, lab.settings, lab.file)
    lab.file.write_bytes(HOME[:-1])
    with pytest.raises(DevaiError, match=r"does not match .*home.tar.gz.sha256: .*nothing was changed"):
        check(lab.project, lab.settings, lab.file)
    (lab.folder / "home.tar.gz.sha256").unlink()
    check(lab.project, lab.settings, lab.file)


def set_answer(lab: Lab, status: int, report: object) -> None:
    lab.status, lab.headers = status, {"Content-Type": "application/json"}
    lab.body = report.encode() if isinstance(report, str) else json.dumps(report).encode()


def test_restore_returns_the_report_of_the_lab(lab: Lab) -> None:
    lab.backup()
    skipped = [{"reason": "a reason", "count": 7, "names": ["work/a"]}]
    set_answer(lab, 200, {"files": 2, "bytes": 1005, "skipped": skipped})
    restored = lab.restore()
    assert restored == data.Restored(2, 1005, [data.Skipped("a reason", 7, ["work/a"])])


@pytest.mark.parametrize(
    ("status", "report", "message"),
    [
        (409, {"message": "another restore is running in this home"}, "answers 409 Conflict: another restore is run"),
        (400, {"message": "evil \x1b[2J"}, r"answers 400 Bad Request: evil \\x1b\[2J"),
        (404, {"message": ""}, "the lab's image is older than this command"),
        (200, {"files": "many"}, "report can't be read"),
        (200, [], "report can't be read"),
        (200, "[" * 200_000, "returned an invalid report"),
    ],
)
def test_refused_restore_is_an_error(lab: Lab, status: int, report: object, message: str) -> None:
    lab.backup()
    set_answer(lab, status, report)
    with pytest.raises(DevaiError, match=message):
        lab.restore()
