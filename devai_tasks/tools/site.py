"""A web site, as a browser of this machine would reach it."""

from __future__ import annotations

import os
import shlex
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from devai_tasks import console
from devai_tasks.errors import DevaiError, ToolFailed

# How resolvers say that they don't know a name.
_UNKNOWN = ("name or service not known", "nodename nor servname", "no address associated")

_UNTRUSTED = "certificate_verify_failed"


class Unreachable(DevaiError):  # noqa: N818 - reads as what happened
    """Nothing answers there; `unknown` where the name has no address yet."""

    def __init__(self, message: str, *, unknown: bool) -> None:
        super().__init__(message)
        self.unknown = unknown


@dataclass(frozen=True)
class Server:
    """A Jupyter server: what is wanted of it, by URL, its token, and a certificate that may be believed there."""

    url: str
    token: str
    certificate: Path | None = None

    def trust(self) -> ssl.SSLContext | bool:
        """What is to be believed of it: its own certificate, or what the authorities have signed."""
        if not self.certificate:
            return True
        context = ssl.create_default_context(cafile=self.certificate)
        # One that an authority of this machine has signed is believed for itself, too.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context


def _curl(server: Server, *words: str) -> str:
    """The command that asks a server for the same; its token is shown to nobody."""
    trust = (f"--cacert={server.certificate}",) if server.certificate else ()
    return shlex.join(["curl", "--fail", "--header=Authorization: token …", *trust, *words, server.url])


def status(url: str, *, seconds: float = 10, trusted: bool = True) -> int:
    """The status that a GET is answered with. Raises Unreachable with the reason where nothing answers in time.

    Nothing secret is sent: a certificate that is not `trusted` may be anybody's.
    """
    try:
        return httpx.get(url, timeout=seconds, verify=trusted).status_code
    except httpx.TransportError as error:
        words = str(error) or type(error).__name__
        raise Unreachable(words, unknown=any(said in words.lower() for said in _UNKNOWN)) from error


def download(server: Server, file: Path, *, dry: bool = False) -> int:
    """Write what a server has to a file; returns its size in bytes.

    Raises ToolFailed with the server's answer, Unreachable where the connection ends before that. The file is there
    when all of it is.
    """
    if dry:
        console.say(_curl(server, f"--output={file}"))
        return 0
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with _asking("GET", server) as answer, partial.open("xb") as stream, console.progress() as bars:
            partial.chmod(0o600)
            task = bars.add_task(file.name, total=None)
            for piece in answer.iter_raw():
                bars.advance(task, stream.write(piece))
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
    return file.stat().st_size


def upload(server: Server, file: Path, *, dry: bool = False) -> None:
    """Send a file to a server. Raises ToolFailed with its answer, Unreachable where the connection ends."""
    if dry:
        return console.say(_curl(server, f"--upload-file={file}"))
    with file.open("rb") as stream, console.progress() as bars:
        task = bars.add_task(file.name, total=file.stat().st_size)

        def pieces() -> Iterator[bytes]:
            while piece := stream.read(1 << 18):
                yield piece
                bars.advance(task, len(piece))

        with _asking("PUT", server, content=pieces()):
            pass
    return None


@contextmanager
def _asking(method: str, server: Server, content: Iterator[bytes] | None = None) -> Iterator[httpx.Response]:
    """A good answer; sending and receiving take as long as they take, but nothing may stand still for a minute."""
    headers, verify = {"Authorization": f"token {server.token}"}, server.trust()
    try:
        with httpx.stream(method, server.url, headers=headers, content=content, timeout=60, verify=verify) as answer:
            if answer.is_error:
                raise ToolFailed(f"{server.url} answers {answer.status_code} {answer.reason_phrase}")
            yield answer
    except httpx.TransportError as error:
        words = f"{server.url}: {str(error) or type(error).__name__}"
        if _UNTRUSTED in words.lower():
            words += (
                "\nnobody vouches for its certificate, so the token was not sent; name another one in "
                "terraform.certificate, or have this one believed: SSL_CERT_FILE names a file with it"
            )
        raise Unreachable(words, unknown=False) from error
