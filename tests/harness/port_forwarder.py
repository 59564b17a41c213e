"""Forward TCP connections from one address to another. In a node this file runs as a program."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


def serve(listener: socket.socket, target: tuple[str, int]) -> None:
    """Forward every connection to the target until the listener is closed."""
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_forward, args=(client, target), daemon=True).start()


@contextmanager
def forwarded(address: str, port: int, target: tuple[str, int]) -> Iterator[None]:
    """Forward connections for as long as the block lasts."""
    with socket.create_server((address, port)) as listener:
        threading.Thread(target=serve, args=(listener, target), daemon=True).start()
        yield


def _forward(client: socket.socket, target: tuple[str, int]) -> None:
    with client, suppress(OSError), socket.create_connection(target, timeout=10) as server:
        server.settimeout(None)
        back = threading.Thread(target=_copy, args=(server, client), daemon=True)
        back.start()
        _copy(client, server)
        back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.partition(":")
    return host, int(port)


if __name__ == "__main__":
    with socket.create_server(_address(sys.argv[1])) as listening:
        serve(listening, _address(sys.argv[2]))
