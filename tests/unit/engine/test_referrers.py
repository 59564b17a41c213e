"""Documents attached to an image, in registries with and without the referrers API; credentials."""

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
NOTE = Document("application/vnd.example+json", b'{"note": "text"}', {"kind": "note"})


class _FakeRegistryHandler(BaseHTTPRequestHandler):
    """Fake of a registry by the OCI distribution specification, and of its token service."""

    protocol_version = "HTTP/1.1"
    server: FakeRegistry

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/token":
            login = base64.b64decode(self.headers.get("Authorization", "").removeprefix("Basic ")).decode()
            return self._answer(200 if login == "someone:secret" else 401, b'{"token": "for-a-while"}')
        if not self._is_authorized():
            return None
        kind, _, name = path.removeprefix("/v2/team/lab/").partition("/")
        if kind == "referrers":
            if not self.server.has_referrers_api:
                return self._answer(404, b"page not found")
            return self._answer(200, json.dumps({"manifests": self.server.referrers}).encode(), {"Content-Type": INDEX})
        stored = self.server.stored.get(name)
        return self._answer(404, b"") if stored is None else self._answer(200, stored[1], {"Content-Type": stored[0]})

    def do_POST(self) -> None:
        if self._is_authorized():
            self._answer(202, b"", {"Location": "/v2/team/lab/blobs/uploads/1?state=2"})

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if not self._is_authorized():
            return
        path, _, query = self.path.partition("?")
        name = query.partition("digest=")[2].replace("%3A", ":") or path.rpartition("/")[2]
        self.server.stored[name] = (self.headers["Content-Type"], content)
        subject = json.loads(content).get("subject", {}) if "/manifests/" in path else {}
        headers = {}
        if subject and self.server.has_referrers_api:
            headers["OCI-Subject"] = subject["digest"]
            self.server.referrers.append({"digest": name, "artifactType": json.loads(content)["artifactType"]})
        self._answer(201, b"", headers)

    def _is_authorized(self) -> bool:
        if not self.server.requires_login or self.headers.get("Authorization") == "Bearer for-a-while":
            return True
        realm = f'Bearer realm="http://127.0.0.1:{self.server.server_port}/token",service="fake",scope="push"'
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
        """Disable the log."""


class FakeRegistry(ThreadingHTTPServer):
    """Fake of a registry: manifests and blobs with their types, by digest or tag."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _FakeRegistryHandler)
        self.stored = {DIGEST: ("application/vnd.oci.image.manifest.v1+json", IMAGE)}
        self.referrers: list[dict[str, str]] = []
        self.has_referrers_api = True
        self.requires_login = False

    @property
    def repository(self) -> str:
        """Return the name of its only repository."""
        return f"127.0.0.1:{self.server_port}/team/lab"


@pytest.fixture
def fake_registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def logins(tmp_path: Path, fake_registry: FakeRegistry) -> Path:
    """Create a client configuration with a login for the registry; return its folder."""
    known = {f"127.0.0.1:{fake_registry.server_port}": {"auth": base64.b64encode(b"someone:secret").decode()}}
    (tmp_path / "config.json").write_text(json.dumps({"auths": known}), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("has_referrers_api", [True, False], ids=["referrers API", "referrers tag"])
def test_attached_document_is_found_by_the_digest_of_the_image(
    fake_registry: FakeRegistry, tmp_path: Path, *, has_referrers_api: bool
) -> None:
    fake_registry.has_referrers_api = has_referrers_api
    repository = Repository(fake_registry.repository, tmp_path)
    (new,) = repository.attach(DIGEST, [NOTE])
    (referrer,) = repository.referrers(DIGEST)
    assert (referrer["digest"], referrer["artifactType"]) == (new, NOTE.media_type)
    assert repository.content(new) == NOTE.content
    assert (DIGEST.replace(":", "-") in fake_registry.stored) == (not has_referrers_api)
    assert json.loads(fake_registry.stored[new][1])["subject"] == {
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": DIGEST, "size": len(IMAGE),
    }  # fmt: skip


@pytest.mark.parametrize("has_referrers_api", [True, False])
def test_existing_document_is_not_pushed_again(
    fake_registry: FakeRegistry, tmp_path: Path, *, has_referrers_api: bool
) -> None:
    fake_registry.has_referrers_api = has_referrers_api
    repository = Repository(fake_registry.repository, tmp_path)
    repository.attach(DIGEST, [NOTE])
    assert repository.attach(DIGEST, [NOTE]) == []
    assert len(repository.attach(DIGEST, [NOTE, Document("other/type", b"{}")])) == 1
    assert len(repository.referrers(DIGEST)) == 2


def test_login_of_the_engines_client_is_used(fake_registry: FakeRegistry, logins: Path) -> None:
    fake_registry.requires_login = True
    assert len(Repository(fake_registry.repository, logins).attach(DIGEST, [NOTE])) == 1


def test_missing_login_is_reported(fake_registry: FakeRegistry, tmp_path: Path) -> None:
    fake_registry.requires_login = True
    with pytest.raises(ToolError, match=r"refuses GET manifests/sha256:.* \(401\)"):
        Repository(fake_registry.repository, tmp_path).attach(DIGEST, [NOTE])


def test_content_that_does_not_match_its_digest_is_refused(fake_registry: FakeRegistry, tmp_path: Path) -> None:
    repository = Repository(fake_registry.repository, tmp_path)
    (new,) = repository.attach(DIGEST, [NOTE])
    fake_registry.stored[new] = (fake_registry.stored[new][0], fake_registry.stored[new][1].replace(b"note", b"fake"))
    with pytest.raises(ToolError, match="does not match its digest"):
        repository.content(new)


def test_unreachable_registry_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"127\.0\.0\.1:9 does not answer GET"):
        Repository("127.0.0.1:9/team/lab", tmp_path).referrers(DIGEST)


def test_login_is_read_from_a_credential_helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = tmp_path / "docker-credential-fake"
    helper.write_text(
        '#!/bin/sh\nread host; echo "{\\"Username\\": \\"$host\\", \\"Secret\\": \\"password\\"}"\n', encoding="utf-8"
    )
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (tmp_path / "config.json").write_text('{"credsStore": "fake"}', encoding="utf-8")
    assert credentials("registry.test", tmp_path) == ("registry.test", "password")
    assert credentials(registry.DOCKER_HUB, tmp_path) == ("https://index.docker.io/v1/", "password")
