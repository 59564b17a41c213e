"""HTTP requests to the lab and other servers, as a browser on this machine would send them."""

from __future__ import annotations

import json
import os
import shlex
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx

from devai_tasks.system import console
from devai_tasks.system.errors import DevaiError, ToolError, one_line

# Error messages of resolvers for an unknown host name.
_UNKNOWN = ("name or service not known", "nodename nor servname", "no address associated")

_UNTRUSTED = "certificate_verify_failed"

ARCHIVE = "application/gzip"
REPORT = "application/json"
# Upper limit for the size of an error message.
_REASON_BYTES = 1 << 12


class UnreachableError(DevaiError):
    """No server answers at the address.

    Attributes:
        unknown: whether the host name does not resolve.
    """

    def __init__(self, message: str, *, unknown: bool, hint: str = "", code: str = "") -> None:
        super().__init__(message, hint=hint, code=code)
        self.unknown = unknown


class RefusalError(ToolError):
    """The server's response is not the requested one.

    Attributes:
        status: HTTP status; 403 if the token is refused.
    """

    def __init__(self, message: str, *, status: int, hint: str = "", code: str = "") -> None:
        super().__init__(message, hint=hint, code=code)
        self.status = status


@dataclass(frozen=True)
class Server:
    """A Jupyter server.

    Attributes:
        url: URL of the request.
        token: the server's token.
        certificate: the only certificate to trust (default: those of known authorities).
        direct: whether the server runs on this machine, so that the request bypasses proxies of the environment.
    """

    url: str
    token: str
    certificate: Path | None = None
    direct: bool = False

    def trust(self) -> ssl.SSLContext | bool:
        """Return the TLS verification: of the server's own certificate, or by known authorities."""
        if not self.certificate:
            return True
        context = ssl.create_default_context(cafile=self.certificate)
        # Trust the certificate itself, even if a local authority has signed it.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context


def curl(server: Server, *arguments: str) -> str:
    """Return the equivalent curl command, with the token masked."""
    trust = (f"--cacert={server.certificate}",) if server.certificate else ()
    return shlex.join(["curl", "--fail", "--header=Authorization: token …", *trust, *arguments, server.url])


def status(url: str, *, seconds: float = 10, trusted: bool = True) -> int:
    """Send a GET request without credentials and return the status.

    Args:
        url: the URL.
        seconds: timeout.
        trusted: whether the certificate is verified.

    Raises:
        UnreachableError: no server answers in time.
    """
    try:
        return httpx.get(url, timeout=seconds, verify=trusted).status_code
    except httpx.TransportError as error:
        reason = str(error) or type(error).__name__
        raise UnreachableError(reason, unknown=any(text in reason.lower() for text in _UNKNOWN)) from error


def download(server: Server, file: IO[bytes]) -> Mapping[str, str]:
    """Write the archive that a server sends to a file; return the headers of the response.

    Raises:
        RefusalError: the response is not an archive.
        UnreachableError: the connection is lost before the end of the archive.
    """
    with _asking("GET", server, ARCHIVE) as answer, console.progress() as bars:
        task = bars.add_task("home", total=None)
        for piece in answer.iter_raw():
            bars.advance(task, file.write(piece))
        return answer.headers


def upload(server: Server, file: IO[bytes]) -> Mapping[str, Any]:
    """Send a file to a server; return the report in its response.

    Raises:
        RefusalError: the server refuses the file.
        UnreachableError: the connection is lost before the response.
    """
    with console.progress() as bars:
        task = bars.add_task("home", total=os.fstat(file.fileno()).st_size)

        def pieces() -> Iterator[bytes]:
            while piece := file.read(1 << 18):
                yield piece
                bars.advance(task, len(piece))

        with _asking("PUT", server, REPORT, content=pieces()) as answer:
            try:
                report: Mapping[str, Any] = json.loads(answer.read())
            except (ValueError, RecursionError) as error:  # RecursionError for JSON that is nested too deeply
                raise ToolError(f"{server.url} returned an invalid report") from error
            return report


@contextmanager
def _asking(
    method: str, server: Server, content_type: str, content: Iterator[bytes] | None = None
) -> Iterator[httpx.Response]:
    """Yield the response to a request, which has the expected content type.

    A transfer may take any time, but must not stall for a minute. The response to an upload may take ten minutes,
    because the lab unpacks the archive first.
    """
    headers = {"Authorization": f"token {server.token}", "Accept-Encoding": "identity"}
    verify, seconds = server.trust(), httpx.Timeout(60, read=600 if content else 60)
    try:
        with httpx.stream(
            method,
            server.url,
            headers=headers,
            content=content,
            timeout=seconds,
            verify=verify,
            trust_env=not server.direct,
        ) as answer:
            _check(server, answer, content_type)
            yield answer
    except httpx.TransportError as error:
        reason = str(error) or type(error).__name__
        if _UNTRUSTED in reason.lower():
            raise UnreachableError(
                f"{server.url}: {reason}\nno known authority signed the certificate, so the token was not sent",
                unknown=False,
                hint="set another certificate in terraform.certificate, or SSL_CERT_FILE to a file with this one",
                code="DEVAI-LAB-006",
            ) from error
        raise UnreachableError(f"{server.url}: {reason}", unknown=False) from error


def _check(server: Server, answer: httpx.Response, content_type: str) -> None:
    """Raise RefusalError unless the response has status 200 and the expected content type."""
    status, actual_type = answer.status_code, answer.headers.get("Content-Type", "").partition(";")[0]
    if status in {401, 403} or _leads_to_login(server, answer):
        raise RefusalError(f"{server.url} refuses the token", status=403, code="DEVAI-LAB-002")
    if answer.has_redirect_location:
        raise RefusalError(f"{server.url} redirects to {one_line(answer.headers['Location'])}", status=status)
    if status != 200:  # noqa: PLR2004 - the only success
        raise RefusalError(f"{server.url} answers {status} {answer.reason_phrase}{_reason(answer)}", status=status)
    if actual_type != content_type:
        raise RefusalError(
            f"{server.url} answers with {one_line(actual_type) or 'no content type'} in place of {content_type}",
            status=status,
            hint="the server at this address is not the lab",
            code="DEVAI-LAB-003",
        )


def _leads_to_login(server: Server, answer: httpx.Response) -> bool:
    """Whether the response redirects to the login page of the same server, as Jupyter does without a valid token."""
    if not answer.has_redirect_location:
        return False
    url = httpx.URL(server.url)
    target = url.join(answer.headers["Location"])
    return target.host == url.host and target.path.endswith("/login")


def _reason(answer: httpx.Response) -> str:
    """Return the lab's error message in one line; empty without one."""
    with suppress(ValueError, KeyError, TypeError):
        return f": {one_line(json.loads(next(answer.iter_bytes(_REASON_BYTES), b''))['message'])}"
    return ""
