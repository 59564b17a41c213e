"""Backups of a running lab, and restores of trusted and foreign archives."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from harness.jupyter import Jupyter
from harness.stack import ComposeStack, RunningStack, command_lines


@pytest.fixture
def lab(stack: RunningStack) -> ComposeStack:
    assert isinstance(stack, ComposeStack)
    return stack


@pytest.fixture
def work(lab: ComposeStack) -> Path:
    """The folder of this machine that is mounted into the lab's home as ~/work."""
    return lab.project.root / lab.settings.storage.work_dir


def packed(**members: bytes | str) -> bytes:
    """Return an archive of files (bytes) and symbolic links (str, the target); `__` in a name is a slash."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(f"./{name.replace('__', '/')}")
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def put(jupyter: Jupyter, archive: bytes) -> tuple[int, dict[str, object]]:
    """Restore an archive by an HTTP request instead of the task; return the status and the lab's report."""
    request = urllib.request.Request(
        f"{jupyter.base}devai/restore", archive, {"Authorization": f"token {jupyter.token}"}, method="PUT"
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def home(lab: ComposeStack) -> list[str]:
    """Return the names of the entries in the lab's home."""
    return str(lab.host("devai").check_output("ls -A /home/devai")).splitlines()


def test_backup_is_verified_and_reports_what_is_left_out(lab: ComposeStack, tmp_path: Path) -> None:
    file = tmp_path / "home.tar.gz"
    backed_up = lab.inv("data.backup", f"--file={file}")
    assert backed_up.returncode == 0, backed_up.stderr
    assert "verified: " in backed_up.stderr
    assert f"~/work is not in the backup: it is the folder {lab.settings.storage.work_dir} of this machine" in (
        backed_up.stderr
    )
    assert file.stat().st_mode & 0o777 == 0o600
    subprocess.run(["sha256sum", "--check", f"{file.name}.sha256"], cwd=tmp_path, check=True, capture_output=True)


def test_backup_and_restore_ignore_the_proxy_of_the_environment(lab: ComposeStack, tmp_path: Path) -> None:
    proxy = {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", "NO_PROXY": "", "no_proxy": ""}
    file = tmp_path / "home.tar.gz"
    backed_up = lab.inv("data.backup", f"--file={file}", environ=proxy)
    assert backed_up.returncode == 0, backed_up.stderr
    restored = lab.inv("data.restore", f"--file={file}", "--yes", environ=proxy)
    assert restored.returncode == 0, restored.stderr


def test_wrong_token_is_reported_and_no_backup_is_written(lab: ComposeStack, tmp_path: Path) -> None:
    token = lab.project.state(lab.settings.stack) / "token"
    valid = token.read_text(encoding="utf-8")
    token.write_text("wrong", encoding="utf-8")
    try:
        refused = lab.inv("data.backup", f"--file={tmp_path / 'home.tar.gz'}")
    finally:
        token.write_text(valid, encoding="utf-8")
    assert refused.returncode == 1
    assert "refuses the token; `inv up --env=smoke --cloud=local` starts the lab with the token" in refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_token_is_not_sent_to_another_program_on_the_port_of_a_stopped_lab(
    lab: ComposeStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user of this machine could start such a program."""
    archive, program, log = tmp_path / "foreign.tar.gz", tmp_path / "browser", tmp_path / "called"
    archive.write_bytes(packed(harmless=b"harmless"))
    program.write_text(f"#!/bin/sh\ntouch {log}\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{program} %s")
    backup = ["data.backup", f"--file={tmp_path / 'home.tar.gz'}"]
    address, token = lab.published["devai"], lab.jupyter.token
    assert lab.inv("compose.down").returncode == 0
    try:
        with socket.create_server(address) as other_program:
            other_program.setblocking(False)
            for arguments in (backup, ["data.restore", f"--file={archive}", "--yes"], ["open"], ["open", "--print"]):
                refused = lab.inv(*arguments)
                assert refused.returncode == 1
                assert "does not run at" in refused.stderr
                assert "`inv up --env=smoke --cloud=local` starts the lab" in refused.stderr
                assert token not in refused.stdout + refused.stderr
                with pytest.raises(BlockingIOError):
                    other_program.accept()  # there was no connection
    finally:
        assert lab.inv("compose.up").returncode == 0
    assert not log.exists()
    assert lab.inv("open", "--print").stdout.strip() == lab.jupyter.url


def test_foreign_archive_writes_no_file_in_the_work_folder(lab: ComposeStack, work: Path, tmp_path: Path) -> None:
    before = tree(work)
    foreign = tmp_path / "foreign.tar.gz"
    foreign.write_bytes(packed(work__tasks=b"evil", work__a__hooks=b"evil", harmless=b"harmless"))
    restored = lab.inv("data.restore", f"--file={foreign}", "--yes")
    assert tree(work) == before
    assert restored.returncode == 0, restored.stderr
    assert "restored: 1 file, 8 bytes" in restored.stderr
    assert "2 not restored, inside a folder that is mounted into the home: work/tasks, work/a/hooks" in restored.stderr
    foreign.write_bytes(packed(way="work", way__tasks=b"evil"))
    refused = lab.inv("data.restore", f"--file={foreign}", "--yes")
    assert refused.returncode == 1
    assert "answers 400 Bad Request: way is in the archive both as a folder and as another type" in refused.stderr
    # In two steps: the link, then a file behind it.
    assert put(lab.jupyter, packed(way="work"))[0] == 200
    assert put(lab.jupyter, packed(way__tasks=b"evil"))[0] == 200
    assert tree(work) == before
    shown = lab.host("devai").check_output("cd /home/devai; cat harmless way/tasks; rm -r harmless way")
    assert shown == "harmlessevil"


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until a condition is met. Raises AssertionError after 30 s."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@contextmanager
def uploading(jupyter: Jupyter, archive: bytes) -> Iterator[None]:
    """Send an archive without its last 100 bytes, and close the connection on exit."""
    url = urlsplit(f"{jupyter.base}devai/restore")
    with socket.create_connection((str(url.hostname), url.port or 80)) as connection:
        head = f"PUT {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\nAuthorization: token {jupyter.token}\r\n"
        connection.sendall(f"{head}Content-Length: {len(archive)}\r\n\r\n".encode() + archive[:-100])
        yield


def test_concurrent_restore_is_refused_and_interrupted_restore_leaves_no_files(lab: ComposeStack) -> None:
    before = home(lab)
    with uploading(lab.jupyter, packed(half=os.urandom(1 << 22))):
        wait_for(lambda: len(home(lab)) > len(before) + 1)  # the folder and the lock
        status, report = put(lab.jupyter, packed(other=b"other"))
        assert (status, report["message"]) == (409, "another restore is running in this home")
        assert "devai_restore" in command_lines(lab.host("devai"))
    wait_for(lambda: home(lab) == before)
    wait_for(lambda: "devai_restore" not in command_lines(lab.host("devai")))
    assert put(lab.jupyter, packed(other=b"other")) == (200, {"files": 1, "bytes": 5, "skipped": []})
    lab.host("devai").check_output("rm /home/devai/other")
