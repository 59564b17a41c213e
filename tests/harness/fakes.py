"""Fakes of cloud services that cannot run in tests. Each names the service that it replaces and the specification.

A fake answers only what the specification defines, records its requests, and rejects everything else.
"""

from __future__ import annotations

import base64
import http.client
import json
import threading
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Request:
    """An HTTP request."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: str

    @property
    def form(self) -> Mapping[str, str]:
        """The fields of a form in the body."""
        return dict(urllib.parse.parse_qsl(self.body))


@dataclass
class FakeService:
    """A running fake."""

    address: str = ""
    requests: list[Request] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    """Base of all fakes: records the request, and answers with the status and the JSON that `reply` returns."""

    service: FakeService
    protocol_version = "HTTP/1.1"

    def reply(self, request: Request) -> tuple[int, object]:
        raise NotImplementedError

    def _answer(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        request = Request(
            self.command, url.path, dict(urllib.parse.parse_qsl(url.query)),
            {name.lower(): value for name, value in self.headers.items()}, body,
        )  # fmt: skip
        self.service.requests.append(request)
        status, answer = self.reply(request)
        content = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        self.send_response(status)
        for name, value in self.extra_headers(status).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def extra_headers(self, status: int) -> dict[str, str]:  # noqa: ARG002 - for overrides
        return {"Content-Type": "application/json"}

    def __getattr__(self, name: str) -> Callable[[], None]:
        """Answer all HTTP methods in the same way (http.server looks up `do_GET` and similar names)."""
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def _running(handler: type[_Handler], **attributes: object) -> Iterator[FakeService]:
    service = FakeService()
    bound = type(handler.__name__, (handler,), {"service": service, **attributes})
    with ThreadingHTTPServer(("127.0.0.1", 0), bound) as server:
        service.address = f"127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield service
        server.shutdown()
        thread.join()


class _Azure(_Handler):
    """Azure: the identity endpoint of App Service and Container Apps, and a Container Registry's login.

    https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference
    https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md
    """

    entra_token: str
    refresh_token: str
    behind: str

    def _answer(self) -> None:
        """Forward requests for images to the registry behind the fake, if one is set."""
        if self.behind and self.path.startswith("/v2/"):
            self._forward()
        else:
            super()._answer()

    def _forward(self) -> None:
        body = (
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if "chunked" not in str(self.headers.get("Transfer-Encoding"))
            else self._chunks()
        )
        registry = http.client.HTTPConnection(self.behind)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "transfer-encoding"}
        registry.request(self.command, self.path, body=body, headers=headers | {"Content-Length": str(len(body))})
        answer = registry.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "date", "server") or self.command == "HEAD":
                self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        registry.close()

    def _chunks(self) -> bytes:
        """Read a chunked body (RFC 9112, section 7.1)."""
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def reply(self, request: Request) -> tuple[int, object]:
        match request.method, request.path:
            case "GET", "/identity":
                return 200, {
                    "access_token": self.entra_token,
                    "expires_on": "4102444800",
                    "resource": request.query.get("resource", ""),
                    "token_type": "Bearer",
                }
            case "POST", "/oauth2/exchange":
                known = request.form.get("access_token") == self.entra_token
                return (200, {"refresh_token": self.refresh_token}) if known else (401, {"errors": []})
            case _, "/v2/":
                return (200, {}) if _password(request) == self.refresh_token else (401, {"errors": []})
        return 404, {}

    def extra_headers(self, status: int) -> dict[str, str]:
        challenge = {"WWW-Authenticate": 'Basic realm="fake"'} if status == 401 else {}
        return {"Content-Type": "application/json", **challenge}


class _Google(_Handler):
    """Google: the metadata server of a machine with a service account.

    https://cloud.google.com/compute/docs/metadata/overview, https://cloud.google.com/docs/authentication/rest#metadata-server
    """

    token: str

    def reply(self, request: Request) -> tuple[int, object]:
        account = "/computeMetadata/v1/instance/service-accounts/default/"
        match request.path:
            case "/" | "/computeMetadata/v1/":
                return 200, "ok"
            case "/computeMetadata/v1/project/project-id":
                return 200, "example-project"
            case path if path == account:
                return 200, {"aliases": ["default"], "email": "lab@example-project", "scopes": []}
            case path if path == f"{account}token":
                return 200, {"access_token": self.token, "expires_in": 3599, "token_type": "Bearer"}
            case path if path == "/computeMetadata/v1/universe/universe-domain":
                return 200, "googleapis.com"
        return 404, ""

    def extra_headers(self, status: int) -> dict[str, str]:  # noqa: ARG002 - the same for all
        path = urllib.parse.urlsplit(self.path).path
        kind = "application/json" if path.endswith(("/token", "/default/")) else "text/plain"
        return {"Content-Type": kind, "Metadata-Flavor": "Google"}


class _WithoutRepository(_Handler):
    """Amazon ECR without the requested repository: NAME_UNKNOWN, with ECR's message.

    https://docs.aws.amazon.com/AmazonECR/latest/userguide/common-errors-docker.html
    """

    def reply(self, request: Request) -> tuple[int, object]:
        if request.path == "/v2/":
            return 200, {}
        name = request.path.removeprefix("/v2/").partition("/blobs/")[0].partition("/manifests/")[0]
        message = f"The repository with name '{name}' does not exist in the registry with id '123456789012'"
        return 404, {"errors": [{"code": "NAME_UNKNOWN", "message": message}]}


class _Osv(_Handler):
    """OSV, the vulnerability service that pip-audit uses, with one vulnerability of one package.

    https://google.github.io/osv.dev/post-v1-query/
    """

    package: str

    def reply(self, request: Request) -> tuple[int, object]:
        if json.loads(request.body)["package"]["name"] != self.package:
            return 200, {}
        affected = {"package": {"name": self.package, "ecosystem": "PyPI"}, "ranges": [], "versions": []}
        return 200, {"vulns": [{"id": "TEST-2026-1", "summary": "a vulnerability for tests", "affected": [affected]}]}


def _password(request: Request) -> str:
    """Return the password of HTTP Basic authentication."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    return base64.b64decode(encoded).decode().partition(":")[2] if scheme == "Basic" else ""


@contextmanager
def azure(*, entra_token: str, refresh_token: str, behind: str = "") -> Iterator[FakeService]:
    """Fake Azure's identity endpoint and a Container Registry's login; forward images to the registry `behind` it."""
    with _running(_Azure, entra_token=entra_token, refresh_token=refresh_token, behind=behind) as service:
        yield service


@contextmanager
def google(*, token: str) -> Iterator[FakeService]:
    """Fake the metadata server of a Google Cloud machine."""
    with _running(_Google, token=token) as service:
        yield service


@contextmanager
def ecr_without_repository() -> Iterator[FakeService]:
    """Fake an Elastic Container Registry without the requested repository."""
    with _running(_WithoutRepository) as service:
        yield service


@contextmanager
def osv(*, package: str) -> Iterator[FakeService]:
    """Fake the vulnerability service OSV, with one vulnerability in one package."""
    with _running(_Osv, package=package) as service:
        yield service
