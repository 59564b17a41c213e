"""A company's proxy: wants a password, lets through what has it, and notes who asked for what."""

from __future__ import annotations

import base64
import contextlib
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

USER = "somebody"


class Proxy(ThreadingHTTPServer):
    """It tunnels, as proxies do for HTTPS."""

    daemon_threads = True

    def __init__(self, password: str) -> None:
        super().__init__(("0.0.0.0", 0), _Tunnel)
        self.wanted = "Basic " + base64.b64encode(f"{USER}:{password}".encode()).decode()
        self.password = password
        self.tunnels: list[str] = []
        self.refused: list[str] = []

    def url(self, host: str) -> str:
        """Its address for who reaches this machine as `host`, with the password in it."""
        return f"http://{USER}:{self.password}@{host}:{self.server_port}"


class _Tunnel(BaseHTTPRequestHandler):
    server: Proxy

    def do_CONNECT(self) -> None:
        """Connect two sockets."""
        if self.headers.get("Proxy-Authorization") != self.server.wanted:
            self.server.refused.append(self.path)
            return self.send_error(407)
        self.server.tunnels.append(self.path)
        host, _, port = self.path.rpartition(":")
        try:
            upstream = socket.create_connection((host, int(port)), timeout=10)
        except OSError:
            return self.send_error(502)
        self.send_response(200)
        self.end_headers()
        with upstream, contextlib.suppress(OSError):
            _carry(self.connection, upstream)

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


def _carry(one: socket.socket, other: socket.socket) -> None:
    peers = {one: other, other: one}
    while True:
        for ready in select.select([one, other], [], [], 60)[0]:
            data = ready.recv(65536)
            if not data:
                return
            peers[ready].sendall(data)


@contextmanager
def proxy(password: str) -> Iterator[Proxy]:
    """A proxy that listens on every address of this machine: containers, too, are its clients."""
    with Proxy(password) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
