"""A real image registry on loopback (distribution, from Debian's package), and a proxy that breaks connections."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import bcrypt
import yaml

from harness import debian


@dataclass
class Registry:
    """A registry that tests can stop and start again."""

    address: str
    folder: Path
    _process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """The registry's log file."""
        return self.folder / "log"

    def start(self) -> None:
        """Start the registry with the images that it stored before."""
        with self.log.open("a") as log:
            command = [_program(), "serve", str(self.folder / "registry.yml")]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        _wait(f"http://{self.address}/v2/", self._process)

    def stop(self) -> None:
        """Stop the registry; the folder keeps its images."""
        if self._process:
            self._process.terminate()
            self._process.wait(timeout=10)


@contextmanager
def registry(
    folder: Path, *, users: Mapping[str, str] | None = None, storage: Path | None = None
) -> Iterator[Registry]:
    """Run a registry with its data in a folder. With `users` (passwords by name), the registry requires a login."""
    address = f"127.0.0.1:{free_port()}"
    definition = {
        "version": "0.1",
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(storage or folder / "data")}},
        "http": {"addr": address},
    }
    if users:
        lines = (
            f"{name}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()}\n"
            for name, password in users.items()
        )
        (folder / "users").write_text("".join(lines), encoding="utf-8")
        definition["auth"] = {"htpasswd": {"realm": "tests", "path": str(folder / "users")}}
    (folder / "registry.yml").write_text(yaml.safe_dump(definition), encoding="utf-8")
    running = Registry(address, folder)
    try:
        running.start()
        yield running
    finally:
        running.stop()


def _program() -> str:
    """Return the installed registry's program, or that of the unpacked Debian package."""
    installed = shutil.which("docker-registry") or shutil.which("registry")
    return installed or str(debian.unpacked("docker-registry") / "usr/bin/docker-registry")


def free_port() -> int:
    """Return a free port on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(url: str, process: subprocess.Popen[bytes], *, seconds: float = 20) -> None:
    """Wait until the registry answers; a response that requires a login counts."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"the registry does not answer at {url}")


class FlakyProxy:
    """A TCP proxy that breaks one connection during an upload, and then rejects some requests.

    The proxy forwards bytes without parsing them. It rejects requests with HTTP 429 as a registry does that is rate
    limited, because engines do not retry after this status.

    Args:
        target: address of the registry, as host:port.
        breaks_after: bytes sent to the registry until the connection breaks.
        refusals: number of connections that are rejected after the break.
    """

    _BUSY = b'{"errors": [{"code": "TOOMANYREQUESTS", "message": "too many requests"}]}'

    def __init__(self, target: str, *, breaks_after: int, refusals: int) -> None:
        host, _, port = target.partition(":")
        self._target = (host, int(port))
        self._remaining = breaks_after
        self._refusals = refusals
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.broken = False
        self.refused = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Accept no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        if self.broken and self.refused < self._refusals:
            self.refused += 1
            with client, suppress(OSError):
                client.recv(65536)
                head = "HTTP/1.1 429 Too Many Requests", "Connection: close", "Content-Type: application/json"
                length = f"Content-Length: {len(self._BUSY)}"
                client.sendall("\r\n".join([*head, length, "", ""]).encode() + self._BUSY)
            return
        registry = socket.create_connection(self._target)
        threading.Thread(target=self._forward, args=(registry, client), daemon=True).start()
        self._forward(client, registry, counted=True)

    def _forward(self, source: socket.socket, target: socket.socket, *, counted: bool = False) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
                if counted and not self.broken:
                    self._remaining -= len(data)
                    if self._remaining <= 0:
                        self.broken = True
                        break
        for connection in (source, target):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
