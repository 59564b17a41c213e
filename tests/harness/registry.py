"""A real image registry on the loopback (distribution, as Debian packages it), and a line to it that can be cut."""

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
    """A registry that can be started, and be gone for a while."""

    address: str
    folder: Path
    _process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """What it has said."""
        return self.folder / "log"

    def start(self) -> None:
        """Run it, with what it had before."""
        with self.log.open("a") as log:
            words = [_program(), "serve", str(self.folder / "registry.yml")]
            self._process = subprocess.Popen(words, stdout=log, stderr=log)
        _wait(f"http://{self.address}/v2/", self._process)

    def stop(self) -> None:
        """End it; what it has stays in its folder."""
        if self._process:
            self._process.terminate()
            self._process.wait(timeout=10)


@contextmanager
def registry(
    folder: Path, *, users: Mapping[str, str] | None = None, storage: Path | None = None
) -> Iterator[Registry]:
    """A registry of its own in a folder; with `users`, only they are let in. It is gone afterwards."""
    address = f"127.0.0.1:{free_port()}"
    definition = {
        "version": "0.1",
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(storage or folder / "data")}},
        "http": {"addr": address},
    }
    if users:
        lines = (f"{name}:{bcrypt.hashpw(word.encode(), bcrypt.gensalt(4)).decode()}\n" for name, word in users.items())
        (folder / "users").write_text("".join(lines), encoding="utf-8")
        definition["auth"] = {"htpasswd": {"realm": "tests", "path": str(folder / "users")}}
    (folder / "registry.yml").write_text(yaml.safe_dump(definition), encoding="utf-8")
    own = Registry(address, folder)
    try:
        own.start()
        yield own
    finally:
        own.stop()


def _program() -> str:
    """One that is installed, or an unpacked one."""
    found = shutil.which("docker-registry") or shutil.which("registry")
    return found or str(debian.unpacked("docker-registry") / "usr/bin/docker-registry")


def free_port() -> int:
    """A port of the loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(url: str, process: subprocess.Popen[bytes], *, seconds: float = 20) -> None:
    """Wait until something answers; a refusal for want of a login is an answer."""
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
    """A line to an address, which breaks once in the middle of what is sent, and is down for a while then.

    It passes bytes on and looks into none of them. While it is down, it answers as a registry that has been asked too
    much, which an engine doesn't try again on its own.
    """

    _BUSY = b'{"errors": [{"code": "TOOMANYREQUESTS", "message": "too many requests"}]}'

    def __init__(self, target: str, *, breaks_after: int, refusals: int) -> None:
        host, _, port = target.partition(":")
        self._target = (host, int(port))
        self._left = breaks_after
        self._refusals = refusals
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.broken = False
        self.refused = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more calls."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                caller, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(caller,), daemon=True).start()

    def _serve(self, caller: socket.socket) -> None:
        if self.broken and self.refused < self._refusals:
            self.refused += 1
            with caller, suppress(OSError):
                caller.recv(65536)
                head = "HTTP/1.1 429 Too Many Requests", "Connection: close", "Content-Type: application/json"
                length = f"Content-Length: {len(self._BUSY)}"
                caller.sendall("\r\n".join([*head, length, "", ""]).encode() + self._BUSY)
            return
        registry = socket.create_connection(self._target)
        threading.Thread(target=self._pass_on, args=(registry, caller), daemon=True).start()
        self._pass_on(caller, registry, counted=True)

    def _pass_on(self, source: socket.socket, target: socket.socket, *, counted: bool = False) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
                if counted and not self.broken:
                    self._left -= len(data)
                    if self._left <= 0:
                        self.broken = True
                        break
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
