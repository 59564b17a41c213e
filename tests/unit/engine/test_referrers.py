"""Documents beside an image: with a registry that keeps the list of them, and with one that does not; logins."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from devai_tasks.engine import registry
from devai_tasks.engine.referrers import INDEX, Document, Repository, credentials
from devai_tasks.system.errors import ToolError

IMAGE = b'{"schemaVersion": 2}'
DIGEST = f"sha256:{hashlib.sha256(IMAGE).hexdigest()}"
NOTE = Document("application/vnd.example+json", b'{"said": "of it"}', {"kind": "note"})


class _Played(BaseHTTPRequestHandler):
    """Stands in for a registry, as the distribution specification has it; for its token service, too."""

    protocol_version = "HTTP/1.1"
    server: PlayedRegistry

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/token":
            given = base64.b64decode(self.headers.get("Authorization", "").removeprefix("Basic ")).decode()
            return self._answer(200 if given == "someone:secret" else 401, b'{"token": "for-a-while"}')
        if not self._is_let_in():
            return None
        kind, _, name = path.removeprefix("/v2/own/lab/").partition("/")
        if kind == "referrers":
            if not self.server.lists:
                return self._answer(404, b"page not found")
            return self._answer(200, json.dumps({"manifests": self.server.referrers}).encode(), {"Content-Type": INDEX})
        stored = self.server.stored.get(name)
        return self._answer(404, b"") if stored is None else self._answer(200, stored[1], {"Content-Type": stored[0]})

    def do_POST(self) -> None:
        if self._is_let_in():
            self._answer(202, b"", {"Location": "/v2/own/lab/blobs/uploads/1?state=2"})

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if not self._is_let_in():
            return
        path, _, query = self.path.partition("?")
        name = query.partition("digest=")[2].replace("%3A", ":") or path.rpartition("/")[2]
        self.server.stored[name] = (self.headers["Content-Type"], content)
        subject = json.loads(content).get("subject", {}) if "/manifests/" in path else {}
        headers = {}
        if subject and self.server.lists:
            headers["OCI-Subject"] = subject["digest"]
            self.server.referrers.append({"digest": name, "artifactType": json.loads(content)["artifactType"]})
        self._answer(201, b"", headers)

    def _is_let_in(self) -> bool:
        if not self.server.wants_login or self.headers.get("Authorization") == "Bearer for-a-while":
            return True
        realm = f'Bearer realm="http://127.0.0.1:{self.server.server_port}/token",service="played",scope="push"'
        self._answer(401, b"", {"WWW-Authenticate": realm})
        return False

    def _answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class PlayedRegistry(ThreadingHTTPServer):
    """What it has: manifests and blobs with their types, by digest or tag."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Played)
        self.stored = {DIGEST: ("application/vnd.oci.image.manifest.v1+json", IMAGE)}
        self.referrers: list[dict[str, str]] = []
        self.lists = True
        self.wants_login = False

    @property
    def repository(self) -> str:
        """The name of the one that it has."""
        return f"127.0.0.1:{self.server_port}/own/lab"


@pytest.fixture
def played() -> Iterator[PlayedRegistry]:
    with PlayedRegistry() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def logins(tmp_path: Path, played: PlayedRegistry) -> Path:
    """A folder of the engine's client that knows the registry."""
    known = {f"127.0.0.1:{played.server_port}": {"auth": base64.b64encode(b"someone:secret").decode()}}
    (tmp_path / "config.json").write_text(json.dumps({"auths": known}), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("lists", [True, False], ids=["the registry keeps the list", "the list is under a tag"])
def test_a_document_is_found_by_the_images_digest(played: PlayedRegistry, tmp_path: Path, *, lists: bool) -> None:
    played.lists = lists
    repository = Repository(played.repository, tmp_path)
    (new,) = repository.attach(DIGEST, [NOTE])
    (found,) = repository.referrers(DIGEST)
    assert (found["digest"], found["artifactType"]) == (new, NOTE.media_type)
    assert repository.content(new) == NOTE.content
    assert (DIGEST.replace(":", "-") in played.stored) == (not lists)
    assert json.loads(played.stored[new][1])["subject"] == {
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": DIGEST, "size": len(IMAGE),
    }  # fmt: skip


@pytest.mark.parametrize("lists", [True, False])
def test_a_document_that_is_there_is_not_sent_again(played: PlayedRegistry, tmp_path: Path, *, lists: bool) -> None:
    played.lists = lists
    repository = Repository(played.repository, tmp_path)
    repository.attach(DIGEST, [NOTE])
    assert repository.attach(DIGEST, [NOTE]) == []
    assert len(repository.attach(DIGEST, [NOTE, Document("other/type", b"{}")])) == 1
    assert len(repository.referrers(DIGEST)) == 2


def test_the_login_of_the_engines_client_is_used(played: PlayedRegistry, logins: Path) -> None:
    played.wants_login = True
    assert len(Repository(played.repository, logins).attach(DIGEST, [NOTE])) == 1


def test_without_a_login_the_refusal_is_said(played: PlayedRegistry, tmp_path: Path) -> None:
    played.wants_login = True
    with pytest.raises(ToolError, match=r"refuses GET manifests/sha256:.* \(401\)"):
        Repository(played.repository, tmp_path).attach(DIGEST, [NOTE])


def test_what_is_not_what_its_digest_says_is_refused(played: PlayedRegistry, tmp_path: Path) -> None:
    repository = Repository(played.repository, tmp_path)
    (new,) = repository.attach(DIGEST, [NOTE])
    played.stored[new] = (played.stored[new][0], played.stored[new][1].replace(b"note", b"lie"))
    with pytest.raises(ToolError, match="does not match its digest"):
        repository.content(new)


def test_a_registry_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"127\.0\.0\.1:9 does not answer GET"):
        Repository("127.0.0.1:9/own/lab", tmp_path).referrers(DIGEST)


def test_a_login_may_be_in_a_key_chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = tmp_path / "docker-credential-chain"
    helper.write_text(
        '#!/bin/sh\nread host; echo "{\\"Username\\": \\"$host\\", \\"Secret\\": \\"word\\"}"\n', encoding="utf-8"
    )
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (tmp_path / "config.json").write_text('{"credsStore": "chain"}', encoding="utf-8")
    assert credentials("registry.test", tmp_path) == ("registry.test", "word")
    assert credentials(registry.DOCKER_HUB, tmp_path) == ("https://index.docker.io/v1/", "word")
