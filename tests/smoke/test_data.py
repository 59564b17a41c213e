"""Backups of a running lab, and archives of anybody's that are restored into it."""

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
    """The work folder on this machine, as it is mounted into the lab's home."""
    return lab.project.root / lab.settings.storage.work_dir


def packed(**members: bytes | str) -> bytes:
    """An archive of files, and of links where a text names their target; `__` in a name is a slash."""
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
    """Restore an archive without the command: the status and the lab's report."""
    request = urllib.request.Request(
        f"{jupyter.base}devai/restore", archive, {"Authorization": f"token {jupyter.token}"}, method="PUT"
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def home(lab: ComposeStack) -> list[str]:
    """What the home has."""
    return str(lab.host("devai").check_output("ls -A /home/devai")).splitlines()


def test_a_backup_is_verified_and_says_what_is_not_in_it(lab: ComposeStack, tmp_path: Path) -> None:
    file = tmp_path / "home.tar.gz"
    backed_up = lab.inv("data.backup", f"--file={file}")
    assert backed_up.returncode == 0, backed_up.stderr
    assert "verified: " in backed_up.stderr
    assert f"~/work is not in the backup: it is the folder {lab.settings.storage.work_dir} of this machine" in (
        backed_up.stderr
    )
    assert file.stat().st_mode & 0o777 == 0o600
    subprocess.run(["sha256sum", "--check", f"{file.name}.sha256"], cwd=tmp_path, check=True, capture_output=True)


def test_a_proxy_of_the_environment_gets_neither_token_nor_home(lab: ComposeStack, tmp_path: Path) -> None:
    proxy = {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", "NO_PROXY": "", "no_proxy": ""}
    file = tmp_path / "home.tar.gz"
    made = lab.inv("data.backup", f"--file={file}", environ=proxy)
    assert made.returncode == 0, made.stderr
    restored = lab.inv("data.restore", f"--file={file}", "--yes", environ=proxy)
    assert restored.returncode == 0, restored.stderr


def test_a_wrong_token_is_told_and_makes_no_backup(lab: ComposeStack, tmp_path: Path) -> None:
    token = lab.project.state(lab.settings.stack) / "token"
    right = token.read_text(encoding="utf-8")
    token.write_text("wrong", encoding="utf-8")
    try:
        refused = lab.inv("data.backup", f"--file={tmp_path / 'home.tar.gz'}")
    finally:
        token.write_text(right, encoding="utf-8")
    assert refused.returncode == 1
    assert "refuses the token; `inv up --env=smoke --cloud=local` starts the lab with the token" in refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_program_on_the_port_of_a_lab_that_is_down_gets_no_token(
    lab: ComposeStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As another user of this machine may start one."""
    archive, program, called = tmp_path / "foreign.tar.gz", tmp_path / "browser", tmp_path / "called"
    archive.write_bytes(packed(harmless=b"harmless"))
    program.write_text(f"#!/bin/sh\ntouch {called}\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{program} %s")
    backup = ["data.backup", f"--file={tmp_path / 'home.tar.gz'}"]
    address, token = lab.published["devai"], lab.jupyter.token
    assert lab.inv("compose.down").returncode == 0
    try:
        with socket.create_server(address) as other:
            other.setblocking(False)
            for words in (backup, ["data.restore", f"--file={archive}", "--yes"], ["open"], ["open", "--print"]):
                refused = lab.inv(*words)
                assert refused.returncode == 1
                assert "does not run at" in refused.stderr
                assert "`inv up --env=smoke --cloud=local` starts the lab" in refused.stderr
                assert token not in refused.stdout + refused.stderr
                with pytest.raises(BlockingIOError):
                    other.accept()  # nobody has connected
    finally:
        assert lab.inv("compose.up").returncode == 0
    assert not called.exists()
    assert lab.inv("open", "--print").stdout.strip() == lab.jupyter.url


def test_a_foreign_archive_writes_nothing_on_this_machine(lab: ComposeStack, work: Path, tmp_path: Path) -> None:
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
    """Return when it is so. Raises AssertionError where that takes half a minute."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)


@contextmanager
def uploading(jupyter: Jupyter, archive: bytes) -> Iterator[None]:
    """An upload that has sent all but the end, until it breaks off."""
    url = urlsplit(f"{jupyter.base}devai/restore")
    with socket.create_connection((str(url.hostname), url.port or 80)) as connection:
        head = f"PUT {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\nAuthorization: token {jupyter.token}\r\n"
        connection.sendall(f"{head}Content-Length: {len(archive)}\r\n\r\n".encode() + archive[:-100])
        yield


def test_of_two_restores_one_is_refused_and_one_that_breaks_off_leaves_nothing(lab: ComposeStack) -> None:
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
