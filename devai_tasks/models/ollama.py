"""An Ollama server, through its own Python client."""

from __future__ import annotations

import fcntl
import hashlib
import shlex
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from ollama import Client, ResponseError

from devai_tasks.engine import registry
from devai_tasks.system import console
from devai_tasks.system.errors import DevaiError, ToolError

LOOPBACK = "127.0.0.1"
PORT = 11434
_BLOCK_BYTES = 1 << 20
_SECONDS = 1
_SIOCGIFADDR = 0x8915  # of Linux, netdevice(7)


def bridge() -> str:
    """The address on Docker's bridge, by which containers know this machine on Linux; empty where there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            answer = fcntl.ioctl(probe, _SIOCGIFADDR, struct.pack("256s", b"docker0"))
        except OSError:
            return ""
    return socket.inet_ntoa(answer[20:24])


def listens(address: str, port: int) -> bool:
    """Whether something of this machine listens at an address."""
    with socket.socket() as probe:
        probe.settimeout(_SECONDS)
        return probe.connect_ex((address, port)) == 0


def host() -> str:
    """Where this machine's own server is: at the loopback, or else at the address for containers."""
    return next((address for address in (LOOPBACK, bridge()) if address and listens(address, PORT)), LOOPBACK)


# Seconds for each part of a transfer, on a disk that is slow.
PATIENCE = 300


class HubUnreachableError(DevaiError):
    """The server can't reach the model hub."""


class Ollama:
    """The server at a URL; every method raises DevaiError where it doesn't answer."""

    def __init__(self, url: str, remedy: str, *, socket: Path | None = None, dry: bool = False) -> None:
        """`remedy` says what to do where none answers; a `socket` of this machine leads to what has no port here."""
        self.url = url
        self.remedy = remedy
        self.socket = socket
        self.dry = dry

    def models(self) -> dict[str, int]:
        """Models that the server has: name to size in bytes."""
        if self.dry:
            self._say("list")
            return {}
        with self._answering() as client:
            return {str(model.model): int(model.size or 0) for model in client.list().models}

    def pull(self, name: str) -> None:
        """Bring a model from the hub, with progress.

        Raises ToolError for a model that the hub doesn't have, HubUnreachableError where there is no hub to ask.
        """
        if self.dry:
            return self._say("pull", name)
        with self._answering() as client, console.progress() as bars:
            tasks = {}
            try:
                for update in client.pull(name, stream=True):
                    if update.digest and update.total:
                        if update.digest not in tasks:
                            tasks[update.digest] = bars.add_task(f"{name} {update.digest[7:19]}", total=update.total)
                        bars.update(tasks[update.digest], completed=update.completed or 0)
            except ResponseError as error:
                if "file does not exist" in error.error:
                    raise ToolError(
                        f"the model hub has no model {name}",
                        hint="https://ollama.com/library lists them",
                        code="DEVAI-MODEL-002",
                    ) from error
                raise HubUnreachableError(f"can't pull {name}: {error.error}", code="DEVAI-MODEL-003") from error

    def create(self, name: str, gguf: str, content: BufferedReader | None) -> None:
        """Make a model of the content of a GGUF file; none is needed under `--dry`.

        Raises ToolError for a file that is none.
        """
        if self.dry or content is None:
            return self._say("create", name, "--file", gguf)
        digest = hashlib.file_digest(content, "sha256").hexdigest()
        size = content.tell()
        content.seek(0)
        self.upload(digest, size, iter(lambda: content.read(_BLOCK_BYTES), b""))
        with self._answering() as client:
            try:
                for _ in client.create(name, files={Path(gguf).name: f"sha256:{digest}"}, stream=True):
                    pass
            except ResponseError as error:
                raise ToolError(f"{gguf} does not make a model: {error.error}") from error

    def upload(self, digest: str, size: int, content: Iterator[bytes]) -> None:
        """Give the server a blob, by its SHA-256, unless it has that; the server checks what arrives."""
        path = f"/api/blobs/sha256:{digest}"
        with self._reported(), httpx.Client(base_url=self.url, timeout=PATIENCE, **self._way) as client:
            if client.head(path).is_success:
                return
            # Without a length it would go in chunks.
            answer = client.post(path, content=content, headers={"Content-Length": str(size)})
            if not answer.is_success:
                raise ToolError(f"Ollama does not take a part of a model: {answer.text[:200]}")

    def remove(self, name: str) -> None:
        """Delete a model. Raises ToolError where the server has none of that name."""
        if self.dry:
            return self._say("rm", name)
        with self._answering() as client:
            try:
                client.delete(name)
            except ResponseError as error:
                raise ToolError(f"no model {name} to remove", hint="`inv models.list` shows them") from error

    def _say(self, *words: str) -> None:
        """The command that does the same."""
        console.say(f"OLLAMA_HOST={self.url} {shlex.join(['ollama', *words])}")

    @property
    def _way(self) -> dict[str, Any]:
        """How a client reaches it. A proxy of the caller's environment is for other machines, not for this one."""
        if self.socket:
            return {"transport": httpx.HTTPTransport(uds=str(self.socket)), "trust_env": False}
        return {"trust_env": not registry.on_this_machine(urlsplit(self.url).hostname or "")}

    @contextmanager
    def _answering(self) -> Iterator[Client]:
        with self._reported():
            yield Client(host=self.url, **self._way)

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except (ConnectionError, httpx.TransportError) as error:
            raise DevaiError(f"no Ollama answers at {self.url}", hint=self.remedy, code="DEVAI-MODEL-001") from error
        except (ResponseError, ValueError, ImportError) as error:
            reason = str(error).partition("\n")[0]
            raise DevaiError(f"{self.url} does not answer as Ollama does: {reason}", hint="see ollama.url") from error
