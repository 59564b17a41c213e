"""A web site, as a browser of this machine would reach it."""

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

# How resolvers say that they don't know a name.
_UNKNOWN = ("name or service not known", "nodename nor servname", "no address associated")

_UNTRUSTED = "certificate_verify_failed"

ARCHIVE = "application/gzip"
REPORT = "application/json"
# More than any reason has.
_REASON_BYTES = 1 << 12


class UnreachableError(DevaiError):
    """Nothing answers there; `unknown` where the name has no address yet."""

    def __init__(self, message: str, *, unknown: bool, hint: str = "", code: str = "") -> None:
        super().__init__(message, hint=hint, code=code)
        self.unknown = unknown


class RefusalError(ToolError):
    """The answer is not what was asked for; `status` is 403 where the token is refused."""

    def __init__(self, message: str, *, status: int, hint: str = "", code: str = "") -> None:
        super().__init__(message, hint=hint, code=code)
        self.status = status


@dataclass(frozen=True)
class Server:
    """A Jupyter server: what is wanted of it, by URL, its token, and a certificate that may be believed there."""

    url: str
    token: str
    certificate: Path | None = None
    direct: bool = False
    """Whether it is on this machine, so that no proxy of the caller's environment is to see the token."""

    def trust(self) -> ssl.SSLContext | bool:
        """What is to be believed of it: its own certificate, or what the authorities have signed."""
        if not self.certificate:
            return True
        context = ssl.create_default_context(cafile=self.certificate)
        # One that an authority of this machine has signed is believed for itself, too.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context


def curl(server: Server, *words: str) -> str:
    """The command that asks a server for the same; its token is shown to nobody."""
    trust = (f"--cacert={server.certificate}",) if server.certificate else ()
    return shlex.join(["curl", "--fail", "--header=Authorization: token …", *trust, *words, server.url])


def status(url: str, *, seconds: float = 10, trusted: bool = True) -> int:
    """The status that a GET is answered with. Raises UnreachableError with the reason where nothing answers in time.

    Nothing secret is sent: a certificate that is not `trusted` may be anybody's.
    """
    try:
        return httpx.get(url, timeout=seconds, verify=trusted).status_code
    except httpx.TransportError as error:
        words = str(error) or type(error).__name__
        raise UnreachableError(words, unknown=any(said in words.lower() for said in _UNKNOWN)) from error


def download(server: Server, file: IO[bytes]) -> Mapping[str, str]:
    """Write the archive that a server sends to a file, and return the headers of its answer.

    Raises:
        RefusalError: the server answers with anything but an archive.
        UnreachableError: the connection ends before the archive does.
    """
    with _asking("GET", server, ARCHIVE) as answer, console.progress() as bars:
        task = bars.add_task("home", total=None)
        for piece in answer.iter_raw():
            bars.advance(task, file.write(piece))
        return answer.headers


def upload(server: Server, file: IO[bytes]) -> Mapping[str, Any]:
    """Send a file to a server, and return what it reports.

    Raises:
        RefusalError: the server does not take the file.
        UnreachableError: the connection ends before the answer.
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
            except (ValueError, RecursionError) as error:  # the second for one that is nested too deeply
                raise ToolError(f"{server.url} answers with a report that can't be read") from error
            return report


@contextmanager
def _asking(
    method: str, server: Server, content_type: str, content: Iterator[bytes] | None = None
) -> Iterator[httpx.Response]:
    """Yield an answer of the expected content type.

    Sending and receiving take as long as they take, but neither may stand still for a minute. For an answer to an
    upload, there is more time: the lab unpacks all of it first.
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
                f"{server.url}: {reason}\nnobody vouches for its certificate, so the token was not sent",
                unknown=False,
                hint="name another one in terraform.certificate, or trust this one: SSL_CERT_FILE names a file with it",
                code="DEVAI-LAB-006",
            ) from error
        raise UnreachableError(f"{server.url}: {reason}", unknown=False) from error


def _check(server: Server, answer: httpx.Response, content_type: str) -> None:
    """Raise RefusalError for any answer but a complete one of the expected content type."""
    status, actual_type = answer.status_code, answer.headers.get("Content-Type", "").partition(";")[0]
    if status in {401, 403} or _leads_to_login(server, answer):
        raise RefusalError(f"{server.url} refuses the token", status=403, code="DEVAI-LAB-002")
    if answer.has_redirect_location:
        raise RefusalError(f"{server.url} redirects to {one_line(answer.headers['Location'])}", status=status)
    if status != 200:  # noqa: PLR2004 - the one good answer
        raise RefusalError(f"{server.url} answers {status} {answer.reason_phrase}{_reason(answer)}", status=status)
    if actual_type != content_type:
        raise RefusalError(
            f"{server.url} answers with {one_line(actual_type) or 'no content type'} in place of {content_type}",
            status=status,
            hint="something other than the lab answers there",
            code="DEVAI-LAB-003",
        )


def _leads_to_login(server: Server, answer: httpx.Response) -> bool:
    """Whether the answer is a redirect to the login page of the same server, as Jupyter redirects without a token."""
    if not answer.has_redirect_location:
        return False
    url = httpx.URL(server.url)
    target = url.join(answer.headers["Location"])
    return target.host == url.host and target.path.endswith("/login")


def _reason(answer: httpx.Response) -> str:
    """What the lab says about a failure, in one line."""
    with suppress(ValueError, KeyError, TypeError):
        return f": {one_line(json.loads(next(answer.iter_bytes(_REASON_BYTES), b''))['message'])}"
    return ""
