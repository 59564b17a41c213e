"""A forward proxy as companies run it: it requires a password and records the requested targets."""

from __future__ import annotations

import base64
import contextlib
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

USER = "proxy-user"


class Proxy(ThreadingHTTPServer):
    """An HTTP proxy that supports CONNECT, which clients use for HTTPS."""

    daemon_threads = True

    def __init__(self, password: str) -> None:
        super().__init__(("0.0.0.0", 0), _Tunnel)
        self.expected = "Basic " + base64.b64encode(f"{USER}:{password}".encode()).decode()
        self.password = password
        self.tunnels: list[str] = []
        self.refused: list[str] = []

    def url(self, host: str) -> str:
        """Return the proxy's URL with the password, for clients that reach this machine as `host`."""
        return f"http://{USER}:{self.password}@{host}:{self.server_port}"


class _Tunnel(BaseHTTPRequestHandler):
    server: Proxy

    def do_CONNECT(self) -> None:
        """Open a tunnel to the requested host."""
        if self.headers.get("Proxy-Authorization") != self.server.expected:
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
            _copy_both_ways(self.connection, upstream)

    def log_message(self, *_: object) -> None:
        """Log nothing to stderr."""


def _copy_both_ways(left: socket.socket, right: socket.socket) -> None:
    peers = {left: right, right: left}
    while True:
        for ready in select.select([left, right], [], [], 60)[0]:
            data = ready.recv(65536)
            if not data:
                return
            peers[ready].sendall(data)


@contextmanager
def proxy(password: str) -> Iterator[Proxy]:
    """Run a proxy on every address of this machine, so that containers can use it too."""
    with Proxy(password) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
