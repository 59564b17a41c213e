"""Client for an Ollama server."""

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
_SIOCGIFADDR = 0x8915  # Linux, see netdevice(7)


def bridge() -> str:
    """Return this machine's address on Docker's bridge, which containers use on Linux; empty without a bridge."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            answer = fcntl.ioctl(probe, _SIOCGIFADDR, struct.pack("256s", b"docker0"))
        except OSError:
            return ""
    return socket.inet_ntoa(answer[20:24])


def listens(address: str, port: int) -> bool:
    """Whether a process on this machine listens at an address."""
    with socket.socket() as probe:
        probe.settimeout(_SECONDS)
        return probe.connect_ex((address, port)) == 0


def host() -> str:
    """Return the address of this machine's server: the loopback address, or else the address on Docker's bridge."""
    return next((address for address in (LOOPBACK, bridge()) if address and listens(address, PORT)), LOOPBACK)


# Timeout in seconds of one HTTP operation of a transfer: a slow disk delays the answer.
TRANSFER_TIMEOUT = 300


class HubUnreachableError(DevaiError):
    """The server can't reach the model hub."""


class Ollama:
    """A server at a URL; every method raises DevaiError if the server does not answer."""

    def __init__(self, url: str, hint: str, *, socket: Path | None = None, dry: bool = False) -> None:
        """Create a client.

        Args:
            url: base URL of the server.
            hint: what to do if the server does not answer.
            socket: local Unix socket to connect through, for a server without a port on this machine.
            dry: whether to print commands instead of contacting the server.
        """
        self.url = url
        self.hint = hint
        self.socket = socket
        self.dry = dry

    def models(self) -> dict[str, int]:
        """Return the models of the server, with their sizes in bytes."""
        if self.dry:
            self._print_command("list")
            return {}
        with self._client() as client:
            return {str(model.model): int(model.size or 0) for model in client.list().models}

    def pull(self, name: str) -> None:
        """Pull a model from the hub, and show the progress.

        Raises:
            ToolError: the hub does not have the model.
            HubUnreachableError: the server can't reach the hub.
        """
        if self.dry:
            return self._print_command("pull", name)
        with self._client() as client, console.progress() as bars:
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
                        hint="https://ollama.com/library lists all models",
                        code="DEVAI-MODEL-002",
                    ) from error
                raise HubUnreachableError(f"can't pull {name}: {error.error}", code="DEVAI-MODEL-003") from error

    def create(self, name: str, gguf: str, content: BufferedReader | None) -> None:
        """Create a model from the content of a GGUF file; under `--dry` the content may be None.

        Raises ToolError if the file is not a valid GGUF file.
        """
        if self.dry or content is None:
            return self._print_command("create", name, "--file", gguf)
        digest = hashlib.file_digest(content, "sha256").hexdigest()
        size = content.tell()
        content.seek(0)
        self.upload(digest, size, iter(lambda: content.read(_BLOCK_BYTES), b""))
        with self._client() as client:
            try:
                for _ in client.create(name, files={Path(gguf).name: f"sha256:{digest}"}, stream=True):
                    pass
            except ResponseError as error:
                raise ToolError(f"can't create a model from {gguf}: {error.error}") from error

    def upload(self, digest: str, size: int, content: Iterator[bytes]) -> None:
        """Upload a blob unless the server has it; the server verifies the SHA-256 `digest`."""
        path = f"/api/blobs/sha256:{digest}"
        with (
            self._translated_errors(),
            httpx.Client(base_url=self.url, timeout=TRANSFER_TIMEOUT, **self._transport) as client,
        ):
            if client.head(path).is_success:
                return
            # Without a length, the request would be chunked.
            answer = client.post(path, content=content, headers={"Content-Length": str(size)})
            if not answer.is_success:
                raise ToolError(f"Ollama refused a part of a model: {answer.text[:200]}")

    def remove(self, name: str) -> None:
        """Remove a model. Raises ToolError if the server has no model of this name."""
        if self.dry:
            return self._print_command("rm", name)
        with self._client() as client:
            try:
                client.delete(name)
            except ResponseError as error:
                raise ToolError(f"no model {name} to remove", hint="`inv models.list` lists the models") from error

    def _print_command(self, *arguments: str) -> None:
        """Print the `ollama` command that does the same."""
        console.say(f"OLLAMA_HOST={self.url} {shlex.join(['ollama', *arguments])}")

    @property
    def _transport(self) -> dict[str, Any]:
        """Return the options of an HTTP client. A proxy of the environment is not used for this machine."""
        if self.socket:
            return {"transport": httpx.HTTPTransport(uds=str(self.socket)), "trust_env": False}
        return {"trust_env": not registry.on_this_machine(urlsplit(self.url).hostname or "")}

    @contextmanager
    def _client(self) -> Iterator[Client]:
        with self._translated_errors():
            yield Client(host=self.url, **self._transport)

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except (ConnectionError, httpx.TransportError) as error:
            raise DevaiError(f"no Ollama answers at {self.url}", hint=self.hint, code="DEVAI-MODEL-001") from error
        except (ResponseError, ValueError, ImportError) as error:
            reason = str(error).partition("\n")[0]
            raise DevaiError(f"{self.url} does not answer as Ollama does: {reason}", hint="see ollama.url") from error
