"""Image registries: host of a reference, and reachability."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from devai_tasks.engine import registry
from devai_tasks.system import certificates


@pytest.mark.parametrize(
    ("image", "host"),
    [
        ("debian", registry.DOCKER_HUB),
        ("debian:trixie-slim", registry.DOCKER_HUB),
        ("ollama/ollama:0.35.1", registry.DOCKER_HUB),
        ("ghcr.io/owner/image", "ghcr.io"),
        ("localhost/image", "localhost"),
        ("localhost:5000/image:1", "localhost:5000"),
        ("registry:5000/image", "registry:5000"),
    ],
)
def test_reference_has_the_host_of_its_registry(image: str, host: str) -> None:
    assert registry.host(image) == host


class _RequiresLogin(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(401)

    def log_message(self, *_: object) -> None:
        """Disable the log."""


@pytest.fixture
def registry_that_requires_a_login() -> Iterator[str]:
    """Start a fake registry that answers 401; yield its address."""
    with HTTPServer(("127.0.0.1", 0), _RequiresLogin) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_registry_that_requires_a_login_is_reachable(registry_that_requires_a_login: str) -> None:
    assert registry.answers(f"{registry_that_requires_a_login}/image")


def test_registry_with_an_untrusted_certificate_is_reachable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine may trust an authority that this program does not trust, such as that of a company."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate, key = tmp_path / "certificate", tmp_path / "key"
    certificates.make(certificate, key, ["127.0.0.1"], "tests")
    context.load_cert_chain(certificate, key)
    with HTTPServer(("127.0.0.1", 0), _RequiresLogin) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        address = f"127.0.0.1:{server.server_port}"
        monkeypatch.setattr(registry, "on_this_machine", lambda _: False)
        assert registry.answers(f"{address}/image")
        thread.join()


def test_registry_without_an_answer_is_unreachable() -> None:
    assert not registry.answers("127.0.0.1:9/image", seconds=1)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("localhost", "http://localhost"),
        ("localhost:5000", "http://localhost:5000"),
        ("localhost.example.com", "https://localhost.example.com"),
        ("registry:5000", "https://registry:5000"),
    ],
)
def test_only_local_registries_use_http(host: str, url: str) -> None:
    assert registry.url(host) == url
