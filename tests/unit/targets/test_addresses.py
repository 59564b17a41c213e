"""Waiting for a lab's address, and whose certificates count there: a real server with one that it has signed itself."""

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

NAMED = "terraform.certificate=https://mine.vault.azure.net/secrets/lab"


def stack(project: Project, cloud: str, *given: str) -> Settings:
    return load(project, Stack("dev", cloud), ("ingress.host=lab.mine.test", *given), environ={})


@pytest.mark.parametrize(
    ("cloud", "given", "own"),
    [
        ("azure", (), True),
        ("azure", (NAMED,), False),
        ("azure", ("tls.enabled=false",), False),
        ("azure", ("compute.platform=simple", "compute.replicas={min: 1, max: 1}"), True),
        ("aws", (), True),
        ("aws", ("dns.zone=mine.test",), False),
        ("gcp", (), False),
        ("local", (), False),
    ],
)
def test_where_a_certificate_is_terraforms_own(shipped: Project, cloud: str, given: tuple[str, ...], own: bool) -> None:
    settings = stack(shipped, cloud, *given)
    assert clouds.of(settings).has_self_signed_certificate(settings) is own


class Answers(BaseHTTPRequestHandler):
    """Says yes to everything."""

    def do_GET(self) -> None:
        """Nothing more than that."""
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Plays a load balancer with a certificate that it has signed itself; its address is the stack's."""
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
def test_a_stack_with_terraforms_own_certificate_answers_and_that_is_said_of_it(
    shipped: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    addresses.wait(stack(shipped, "azure"), seconds=0)
    assert capsys.readouterr().err.count("self-signed certificate, TLS verification skipped") == 1


@pytest.mark.usefixtures("lab")
def test_elsewhere_a_certificate_that_nobody_vouches_for_is_no_answer(shipped: Project) -> None:
    with pytest.raises(DevaiError, match="certificate verify failed"):
        addresses.wait(stack(shipped, "azure", NAMED), seconds=0)


def test_a_token_is_sent_to_who_shows_such_a_certificate_only_where_it_is_believed(
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
    with pytest.raises(DevaiError, match="in place of application/gzip"):  # it was asked
        http.download(server, io.BytesIO())


SIMPLE = ("compute.platform=simple", "compute.replicas={min: 1, max: 1}")


@pytest.mark.parametrize(("given", "may_move"), [(SIMPLE, True), ((), False)])
def test_a_group_that_has_moved_is_found_again_by_terraform(
    shipped: Project, monkeypatch: pytest.MonkeyPatch, given: tuple[str, ...], may_move: bool
) -> None:
    monkeypatch.setattr(http, "status", lambda *_, **__: 502)
    with pytest.raises(DevaiError, match="HTTP 502") as refusal:
        addresses.wait(stack(shipped, "azure", *given), seconds=0)
    assert ("new address since a restart, `inv tf.apply" in refusal.value.hint) is may_move


@pytest.mark.parametrize(("cloud", "command"), [("aws", "inv k8s.status --env=dev --cloud=aws"), ("azure", "inv tf.")])
def test_a_host_name_that_does_not_resolve_is_reported_with_its_missing_dns_record(
    shipped: Project, monkeypatch: pytest.MonkeyPatch, cloud: str, command: str
) -> None:
    def status(*_: object, **__: object) -> int:
        raise http.UnreachableError("Name or service not known", unknown=True)

    monkeypatch.setattr(http, "status", status)
    with pytest.raises(DevaiError) as refusal:
        addresses.wait(stack(shipped, cloud, *(SIMPLE if cloud == "azure" else ())), seconds=0)
    assert refusal.value.message.endswith("/api does not answer after 0 s: the host name has no DNS record yet")
    assert refusal.value.hint.startswith("lab.mine.test needs a DNS record: `" + command)
    assert refusal.value.code == "DEVAI-LAB-001"
