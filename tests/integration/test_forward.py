"""The forwarder of Ollama and Chroma: bytes arrive as they were sent, and for Chroma no foreign page's requests."""

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
# In Ollama's place: says how much it got once the client has ended its half, or answers at once and reads nothing.
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


def connected(port: int) -> socket.socket:
    deadline = time.monotonic() + 20
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=20)
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, "nothing listens"
            time.sleep(0.02)


def everything(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def exchanged(port: int, content: bytes) -> bytes:
    with connected(port) as connection:
        connection.sendall(content)
        connection.shutdown(socket.SHUT_WR)
        return everything(connection)


Forwarding = Callable[..., tuple[subprocess.Popen[bytes], int]]


@pytest.fixture
def forwarding() -> Iterator[Forwarding]:
    """A function that starts the forwarder with a server behind it, and returns it with its port."""
    if not shutil.which("perl"):
        skip_or_fail("no perl, which is a package of every system")
    started: list[subprocess.Popen[bytes]] = []

    def start(program: str = SERVER, *options: str, script: Path = SCRIPT) -> tuple[subprocess.Popen[bytes], int]:
        port, inner = free_port(), free_port()
        server = [sys.executable, "-c", program, str(inner)]
        command = ["perl", str(script), *options, str(port), str(inner), *server]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        if program is SERVER:
            connected(inner).close()
        return started[-1], port

    yield start
    for process in started:
        process.terminate()
        process.communicate(timeout=20)


def test_what_is_sent_arrives_and_an_end_of_one_half_is_passed_on(forwarding: Forwarding) -> None:
    _, port = forwarding()
    content = bytes(range(256)) * 40_000
    assert exchanged(port, content).decode() == hashlib.sha256(content).hexdigest()


def test_it_listens_on_all_addresses(forwarding: Forwarding) -> None:
    _, port = forwarding()
    for family, address in ((socket.AF_INET, "127.0.0.2"), (socket.AF_INET6, "::1")):
        with socket.socket(family) as probe:
            if sys.platform == "linux" and probe.connect_ex((address, port)) not in (0, errno.EADDRNOTAVAIL):
                pytest.fail(f"{address} refuses")


def test_an_answer_before_the_end_of_a_request_is_not_held_back(forwarding: Forwarding) -> None:
    _, port = forwarding()
    with connected(port) as connection:
        connection.setblocking(False)
        connection.send(b"early")
        silent = time.monotonic()
        while time.monotonic() < silent + 0.3:  # until no more is taken
            try:
                connection.send(b"x" * (1 << 20))
                silent = time.monotonic()
            except BlockingIOError:
                time.sleep(0.02)
        connection.setblocking(True)
        assert connection.recv(1 << 20).startswith(b"refused")


def test_a_client_that_leaves_is_told_to_the_server(forwarding: Forwarding) -> None:
    process, port = forwarding()
    with connected(port) as connection:
        connection.sendall(b"leave")
    assert process.stdout
    assert process.stdout.read(4) == b"left"


def test_more_connections_than_it_holds_wait_for_their_turn(forwarding: Forwarding) -> None:
    _, port = forwarding()
    waiting = [connected(port) for _ in range(390)]
    with ThreadPoolExecutor(50) as pool:
        answers = [pool.submit(exchanged, port, b"hello") for _ in range(50)]
        for connection in waiting:
            connection.close()
        assert len({answer.result(timeout=20) for answer in answers}) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_both(forwarding: Forwarding, number: signal.Signals) -> None:
    process, port = forwarding()
    connected(port).close()
    begin = time.monotonic()
    process.send_signal(number)
    assert process.wait(timeout=20) == 128 + signal.SIGTERM
    assert time.monotonic() - begin < 2


def test_it_ends_with_its_server_and_as_that_did(forwarding: Forwarding) -> None:
    process, _ = forwarding("raise SystemExit(7)")
    assert process.wait(timeout=20) == 7


def test_a_server_that_does_not_answer_ends_connections_and_nothing_else(forwarding: Forwarding) -> None:
    process, port = forwarding("import time; time.sleep(60)")
    for _ in range(3):
        with connected(port) as connection:
            assert connection.recv(1) == b""
    assert process.poll() is None


def test_a_port_that_is_taken_is_named(forwarding: Forwarding) -> None:
    _, port = forwarding()
    second = subprocess.run(["perl", str(SCRIPT), str(port), "1", "true"], capture_output=True, text=True, check=False)
    assert second.returncode != 0
    assert f"forward.pl: can't listen on port {port}: Address already in use" in second.stderr


HOSTS = "--hosts=chroma,localhost,127.0.0.1"


def head(*lines: str) -> bytes:
    return "\r\n".join(["POST /api HTTP/1.1", *lines, "", ""]).encode()


@pytest.mark.parametrize(
    "lines",
    [
        ["Host: chroma"], ["host:LOCALHOST:8000"], ["Accept: */*", "Host: 127.0.0.1:1"],
        ["Host: chroma:8000", "Origin: http://localhost:8000"],
    ],
)  # fmt: skip
def test_a_connection_to_one_of_the_names_is_passed_on_from_its_first_byte(
    forwarding: Forwarding, lines: list[str]
) -> None:
    _, port = forwarding(SERVER, HOSTS)
    # Nothing after the head is looked at: neither a large body nor the next request.
    content = head(*lines) + bytes(range(256)) * 40_000 + head("Host: evil.example")
    assert exchanged(port, content).decode() == hashlib.sha256(content).hexdigest()


def test_a_head_may_come_in_parts(forwarding: Forwarding) -> None:
    _, port = forwarding(SERVER, HOSTS)
    content = head("Host: chroma")
    with connected(port) as connection:
        for byte in content:
            connection.sendall(bytes([byte]))
        connection.shutdown(socket.SHUT_WR)
        assert everything(connection).decode() == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    "lines",
    [
        [], ["Host: evil.example:8000"], ["Host: chroma.evil.example"], ["Host: xchroma"], ["Host: 127x0.0.1"],
        ["Host: 172.18.0.3:8000"], ["Host: chroma", "Host: evil.example"], ["Host: "], ["X-Host: chroma"],
        ["Host: chroma", "Origin: http://evil.example"], ["Host: chroma", "origin:null"],
        ["Host: chroma", "Origin: http://chroma.evil.example"], ["Host: chroma", "Origin: http://chroma@evil.example"],
    ],
)  # fmt: skip
def test_other_requests_are_refused_before_the_server_hears_of_them(forwarding: Forwarding, lines: list[str]) -> None:
    process, port = forwarding(_TELLS_OF_CONNECTIONS, HOSTS)
    assert exchanged(port, head(*lines) + b"x" * 5_000_000).startswith(b"HTTP/1.1 403 ")
    process.terminate()
    assert process.communicate(timeout=20)[0] == b""


_TELLS_OF_CONNECTIONS = """
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    listener.accept()
    print("connected", flush=True)
"""


def test_a_head_without_an_end_is_refused_and_silence_is_not_waited_for(forwarding: Forwarding, tmp_path: Path) -> None:
    impatient = tmp_path / "forward.pl"
    text = SCRIPT.read_text(encoding="utf-8")
    impatient.write_text(text.replace("PATIENCE => 10", "PATIENCE => 0"), encoding="utf-8")
    assert impatient.read_text(encoding="utf-8") != text
    _, port = forwarding(SERVER, HOSTS)
    assert exchanged(port, b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000).startswith(b"HTTP/1.1 403 ")
    _, port = forwarding(SERVER, HOSTS, script=impatient)
    with connected(port) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        assert everything(connection) == b""
