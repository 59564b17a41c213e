"""Waiting for a lab's address, and trust in its certificate: a real server with a self-signed certificate."""

from __future__ import annotations

import io
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from harness.settings import load

from devai_tasks import clouds
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.config.stack import Stack
from devai_tasks.system import certificates, http
from devai_tasks.system.errors import DevaiError
from devai_tasks.targets import addresses

EXISTING_CERTIFICATE = "terraform.certificate=https://mine.vault.azure.net/secrets/lab"


def stack(project: Project, cloud: str, *overrides: str) -> Settings:
    return load(project, Stack("dev", cloud), ("ingress.host=lab.mine.test", *overrides), environ={})


@pytest.mark.parametrize(
    ("cloud", "overrides", "self_signed"),
    [
        ("azure", (), True),
        ("azure", (EXISTING_CERTIFICATE,), False),
        ("azure", ("tls.enabled=false",), False),
        ("azure", ("compute.platform=simple", "compute.replicas={min: 1, max: 1}"), True),
        ("aws", (), True),
        ("aws", ("dns.zone=mine.test",), False),
        ("gcp", (), False),
        ("local", (), False),
    ],
)
def test_certificate_is_self_signed_if_terraform_creates_it(
    shipped: Project, cloud: str, overrides: tuple[str, ...], self_signed: bool
) -> None:
    settings = stack(shipped, cloud, *overrides)
    assert clouds.of(settings).has_self_signed_certificate(settings) is self_signed


class Answers(BaseHTTPRequestHandler):
    """Fake of a lab: answers 200 to every request."""

    def do_GET(self) -> None:
        """Answer 200."""
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Disable the log."""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Start a fake of a load balancer with a self-signed certificate at the stack's address; yield the address."""
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    monkeypatch.setattr("shutil.which", lambda name, **_: None if name == "mkcert" else f"/usr/bin/{name}")
    certificates.make(certificate, key, ["127.0.0.1"], "lab")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        monkeypatch.setattr(addresses, "url", lambda _: f"https://127.0.0.1:{server.server_port}/")
        yield f"https://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.usefixtures("lab")
def test_self_signed_certificate_of_terraform_is_accepted_and_reported(
    shipped: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    addresses.wait(stack(shipped, "azure"), seconds=0)
    assert capsys.readouterr().err.count("self-signed certificate, TLS verification skipped") == 1


@pytest.mark.usefixtures("lab")
def test_other_untrusted_certificates_are_refused(shipped: Project) -> None:
    with pytest.raises(DevaiError, match="certificate verify failed"):
        addresses.wait(stack(shipped, "azure", EXISTING_CERTIFICATE), seconds=0)


def test_token_is_sent_only_to_a_server_with_a_trusted_certificate(
    lab: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    server = http.Server(f"{lab}devai/home.tar.gz", "secret")
    with pytest.raises(
        DevaiError, match="no known authority signed the certificate, so the token was not sent"
    ) as refusal:
        http.download(server, io.BytesIO())
    assert refusal.value.code == "DEVAI-LAB-006"
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "tls.crt"))
    with pytest.raises(DevaiError, match="in place of application/gzip"):  # the request was sent
        http.download(server, io.BytesIO())


CONTAINERS = ("compute.platform=simple", "compute.replicas={min: 1, max: 1}")


@pytest.mark.parametrize(("overrides", "changes_address"), [(CONTAINERS, True), ((), False)])
def test_hint_of_container_instances_mentions_a_changed_address(
    shipped: Project, monkeypatch: pytest.MonkeyPatch, overrides: tuple[str, ...], changes_address: bool
) -> None:
    monkeypatch.setattr(http, "status", lambda *_, **__: 502)
    with pytest.raises(DevaiError, match="HTTP 502") as refusal:
        addresses.wait(stack(shipped, "azure", *overrides), seconds=0)
    assert ("new address since a restart, `inv tf.apply" in refusal.value.hint) is changes_address


@pytest.mark.parametrize(("cloud", "command"), [("aws", "inv k8s.status --env=dev --cloud=aws"), ("azure", "inv tf.")])
def test_unresolved_host_name_is_reported_with_its_missing_dns_record(
    shipped: Project, monkeypatch: pytest.MonkeyPatch, cloud: str, command: str
) -> None:
    def status(*_: object, **__: object) -> int:
        raise http.UnreachableError("Name or service not known", unknown=True)

    monkeypatch.setattr(http, "status", status)
    with pytest.raises(DevaiError) as refusal:
        addresses.wait(stack(shipped, cloud, *(CONTAINERS if cloud == "azure" else ())), seconds=0)
    assert refusal.value.message.endswith("/api does not answer after 0 s: the host name has no DNS record yet")
    assert refusal.value.hint.startswith("lab.mine.test needs a DNS record: `" + command)
    assert refusal.value.code == "DEVAI-LAB-001"
