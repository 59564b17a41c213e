"""Forwarder of Ollama and Chroma: passes bytes on unchanged, and refuses requests of foreign web pages to Chroma."""

from __future__ import annotations

import errno
import hashlib
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from harness.prerequisites import skip_or_fail

SCRIPT = Path(__file__).parents[2] / "deploy/kubernetes/base/files/forward.pl"
# Fake for Ollama: returns the hash of a request after the client's half-close. Depending on its first bytes, it
# answers without reading the rest (`early`), or prints whether the client disconnects (`leave`).
SERVER = """
import hashlib, socket, sys, threading, time
def answer(connection):
    first = connection.recv(5)
    if first == b"early":
        connection.sendall(b"refused" * 100000)
        return time.sleep(60)
    if first == b"leave":
        sys.stdout.write("left" if connection.recv(1) == b"" else "spoke")
        return sys.stdout.flush()
    content = hashlib.sha256(first)
    while block := connection.recv(1 << 16):
        content.update(block)
    connection.sendall(content.hexdigest().encode())
    connection.close()
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=1000)
while True:
    threading.Thread(target=answer, args=listener.accept()[:1], daemon=True).start()
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def connect(port: int) -> socket.socket:
    deadline = time.monotonic() + 20
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=20)
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, "no program listens on the port"
            time.sleep(0.02)


def read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def answer_to(port: int, content: bytes) -> bytes:
    with connect(port) as connection:
        connection.sendall(content)
        connection.shutdown(socket.SHUT_WR)
        return read_all(connection)


Forwarding = Callable[..., tuple[subprocess.Popen[bytes], int]]


@pytest.fixture
def start_forwarder() -> Iterator[Forwarding]:
    """A function that starts the forwarder with a server, and returns the forwarder's process and port."""
    if not shutil.which("perl"):
        skip_or_fail("perl is not installed")
    started: list[subprocess.Popen[bytes]] = []

    def start(program: str = SERVER, *options: str, script: Path = SCRIPT) -> tuple[subprocess.Popen[bytes], int]:
        port, inner = free_port(), free_port()
        server = [sys.executable, "-c", program, str(inner)]
        command = ["perl", str(script), *options, str(port), str(inner), *server]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        if program is SERVER:
            connect(inner).close()
        return started[-1], port

    yield start
    for process in started:
        process.terminate()
        process.communicate(timeout=20)


def test_content_and_half_close_are_passed_on(start_forwarder: Forwarding) -> None:
    _, port = start_forwarder()
    content = bytes(range(256)) * 40_000
    assert answer_to(port, content).decode() == hashlib.sha256(content).hexdigest()


def test_forwarder_listens_on_all_addresses(start_forwarder: Forwarding) -> None:
    _, port = start_forwarder()
    for family, address in ((socket.AF_INET, "127.0.0.2"), (socket.AF_INET6, "::1")):
        with socket.socket(family) as probe:
            if sys.platform == "linux" and probe.connect_ex((address, port)) not in (0, errno.EADDRNOTAVAIL):
                pytest.fail(f"{address} refuses the connection")


def test_early_answer_is_passed_on_before_the_request_ends(start_forwarder: Forwarding) -> None:
    _, port = start_forwarder()
    with connect(port) as connection:
        connection.setblocking(False)
        connection.send(b"early")
        silent = time.monotonic()
        while time.monotonic() < silent + 0.3:  # until no more data is accepted
            try:
                connection.send(b"x" * (1 << 20))
                silent = time.monotonic()
            except BlockingIOError:
                time.sleep(0.02)
        connection.setblocking(True)
        assert connection.recv(1 << 20).startswith(b"refused")


def test_disconnect_of_the_client_is_passed_on_to_the_server(start_forwarder: Forwarding) -> None:
    process, port = start_forwarder()
    with connect(port) as connection:
        connection.sendall(b"leave")
    assert process.stdout
    assert process.stdout.read(4) == b"left"


def test_connections_above_the_limit_wait(start_forwarder: Forwarding) -> None:
    _, port = start_forwarder()
    waiting = [connect(port) for _ in range(390)]
    with ThreadPoolExecutor(50) as pool:
        answers = [pool.submit(answer_to, port, b"hello") for _ in range(50)]
        for connection in waiting:
            connection.close()
        assert len({answer.result(timeout=20) for answer in answers}) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_stops_forwarder_and_server(start_forwarder: Forwarding, number: signal.Signals) -> None:
    process, port = start_forwarder()
    connect(port).close()
    begin = time.monotonic()
    process.send_signal(number)
    assert process.wait(timeout=20) == 128 + signal.SIGTERM
    assert time.monotonic() - begin < 2


def test_forwarder_exits_with_the_exit_code_of_the_server(start_forwarder: Forwarding) -> None:
    process, _ = start_forwarder("raise SystemExit(7)")
    assert process.wait(timeout=20) == 7


def test_connections_to_an_unreachable_server_are_closed(start_forwarder: Forwarding) -> None:
    process, port = start_forwarder("import time; time.sleep(60)")
    for _ in range(3):
        with connect(port) as connection:
            assert connection.recv(1) == b""
    assert process.poll() is None


def test_port_in_use_is_reported(start_forwarder: Forwarding) -> None:
    _, port = start_forwarder()
    second = subprocess.run(["perl", str(SCRIPT), str(port), "1", "true"], capture_output=True, text=True, check=False)
    assert second.returncode != 0
    assert f"forward.pl: can't listen on port {port}: Address already in use" in second.stderr


HOSTS = "--hosts=chroma,localhost,127.0.0.1"


def header(*lines: str) -> bytes:
    return "\r\n".join(["POST /api HTTP/1.1", *lines, "", ""]).encode()


@pytest.mark.parametrize(
    "lines",
    [
        ["Host: chroma"], ["host:LOCALHOST:8000"], ["Accept: */*", "Host: 127.0.0.1:1"],
        ["Host: chroma:8000", "Origin: http://localhost:8000"],
    ],
)  # fmt: skip
def test_connection_with_an_allowed_host_is_passed_on_completely(start_forwarder: Forwarding, lines: list[str]) -> None:
    _, port = start_forwarder(SERVER, HOSTS)
    # The forwarder reads nothing after the header: neither a large body nor the next request.
    content = header(*lines) + bytes(range(256)) * 40_000 + header("Host: evil.example")
    assert answer_to(port, content).decode() == hashlib.sha256(content).hexdigest()


def test_header_may_arrive_in_parts(start_forwarder: Forwarding) -> None:
    _, port = start_forwarder(SERVER, HOSTS)
    content = header("Host: chroma")
    with connect(port) as connection:
        for byte in content:
            connection.sendall(bytes([byte]))
        connection.shutdown(socket.SHUT_WR)
        assert read_all(connection).decode() == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    "lines",
    [
        [], ["Host: evil.example:8000"], ["Host: chroma.evil.example"], ["Host: xchroma"], ["Host: 127x0.0.1"],
        ["Host: 172.18.0.3:8000"], ["Host: chroma", "Host: evil.example"], ["Host: "], ["X-Host: chroma"],
        ["Host: chroma", "Origin: http://evil.example"], ["Host: chroma", "origin:null"],
        ["Host: chroma", "Origin: http://chroma.evil.example"], ["Host: chroma", "Origin: http://chroma@evil.example"],
    ],
)  # fmt: skip
def test_other_hosts_and_origins_are_refused_without_a_connection_to_the_server(
    start_forwarder: Forwarding, lines: list[str]
) -> None:
    process, port = start_forwarder(_PRINTS_CONNECTIONS, HOSTS)
    assert answer_to(port, header(*lines) + b"x" * 5_000_000).startswith(b"HTTP/1.1 403 ")
    process.terminate()
    assert process.communicate(timeout=20)[0] == b""


_PRINTS_CONNECTIONS = """
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    listener.accept()
    print("connected", flush=True)
"""


def test_endless_header_is_refused_and_a_silent_client_is_disconnected(
    start_forwarder: Forwarding, tmp_path: Path
) -> None:
    impatient = tmp_path / "forward.pl"
    text = SCRIPT.read_text(encoding="utf-8")
    impatient.write_text(text.replace("PATIENCE => 10", "PATIENCE => 0"), encoding="utf-8")
    assert impatient.read_text(encoding="utf-8") != text
    _, port = start_forwarder(SERVER, HOSTS)
    assert answer_to(port, b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000).startswith(b"HTTP/1.1 403 ")
    _, port = start_forwarder(SERVER, HOSTS, script=impatient)
    with connect(port) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        assert read_all(connection) == b""
