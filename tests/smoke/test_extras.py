"""Optional features of a lab: command-line tools, compilers, a vector store, HTTPS, a timeout for idle kernels."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import time
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import certifi
import pytest
from harness import debian
from harness.jupyter import Jupyter
from harness.stack import ComposeStack, assert_not_exposed, docker

IMAGE = "devai-test-lab:local-extras"
# Explicit embeddings: the default embedding function downloads a model.
STORE = """
import os, chromadb
client = chromadb.HttpClient(host=os.environ["CHROMA_HOST"], port=int(os.environ["CHROMA_PORT"]))
towns = client.get_or_create_collection("towns")
if not towns.count():
    towns.add(ids=["a", "b"], embeddings=[[1.0, 0.0], [0.0, 1.0]], documents=["Paris", "Oslo"])
print(towns.query(query_embeddings=[[0.9, 0.1]], n_results=1)["documents"][0][0])
"""
LARGE = """
import os, chromadb
client = chromadb.HttpClient(host=os.environ["CHROMA_HOST"], port=int(os.environ["CHROMA_PORT"]))
large = client.get_or_create_collection("large")
ids = [str(number) for number in range(1000)]
large.add(ids=ids, embeddings=[[float(len(id)), 1.0] for id in ids], documents=["x" * 10_000] * 1000)
print(large.count())
client.delete_collection("large")
"""
COMPILE = """
cat >/tmp/six.c <<'end'
#include <Python.h>
int main(void) { Py_Initialize(); return PyRun_SimpleString("print(2 * 3)") || Py_FinalizeEx(); }
end
gcc /tmp/six.c -o /tmp/six $(python3-config --includes --ldflags --embed) && /tmp/six
"""


@pytest.fixture(scope="module")
def extras(stack: ComposeStack, free_port: Callable[[], int]) -> Iterator[ComposeStack]:
    """A stack with all of these features, and without Ollama."""
    (stack.project.conf / "profiles/extras.yaml").write_text(
        f"project: {{name: devai-test}}\nports: {{lab: {free_port()}}}\nollama: {{mode: host}}\n"
        "storage: {work_dir: work}\nvector_store: {kind: chroma}\ntls: {local: true}\n"
        "image: {tools: [gemini-cli, claude-code, codex], compilers: true}\ncompute: {idle_timeout: 10s}\n"
        "resources: {lab: {memory: 1Gi}, vector_store: {memory: 1Gi}}\n",
        encoding="utf-8",
    )
    extras_stack = ComposeStack(stack.project, "extras")
    try:
        yield extras_stack
    finally:
        assert extras_stack.inv("compose.down", "--data", "--confirm=devai-test-local-extras").returncode == 0
        docker("rmi", IMAGE)


@pytest.fixture(scope="module")
def lab(extras: ComposeStack) -> Jupyter:
    started = extras.inv("compose.up")
    assert started.returncode == 0, started.stderr
    return https(extras, started.stdout)


def https(extras: ComposeStack, url: str) -> Jupyter:
    """Return the lab at a printed address, for a client that trusts the lab's certificate."""
    return Jupyter(url.strip(), extras.project.state(extras.settings.stack) / "tls.crt")


def test_lab_serves_https_with_a_certificate_for_its_address(extras: ComposeStack, lab: Jupyter) -> None:
    assert lab.url.startswith("https://127.0.0.1:")
    assert lab.status("api/status", token=False) == 403
    assert lab.status("api/status") == 200
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        Jupyter(lab.url, Path(certifi.where())).status("api/status")
    key = extras.project.state(extras.settings.stack) / "tls.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert_not_exposed(extras, key.read_text(encoding="utf-8").splitlines()[1])
    assert lab.url.partition("?")[0] in extras.inv("compose.logs", "--service=devai").stdout  # Jupyter prints it


def test_backup_and_restore_work_with_a_self_signed_certificate(
    extras: ComposeStack, lab: Jupyter, tmp_path: Path
) -> None:
    assert lab.status("api/status") == 200
    backed_up = extras.inv("data.backup", f"--file={tmp_path / 'home.tar.gz'}")
    assert backed_up.returncode == 0, backed_up.stderr
    restored = extras.inv("data.restore", f"--file={tmp_path / 'home.tar.gz'}", "--yes")
    assert restored.returncode == 0, restored.stderr


def test_embeddings_survive_down_and_up(extras: ComposeStack, lab: Jupyter) -> None:
    assert lab.execute(STORE).strip() == "Paris"
    assert extras.inv("compose.down").returncode == 0
    started = extras.inv("compose.up")
    assert started.returncode == 0, started.stderr
    query_only = STORE.replace("if not towns.count():", "assert towns.count() == 2\nif False:")
    assert https(extras, started.stdout).execute(query_only).strip() == "Paris"


def test_foreign_web_page_is_refused_by_chroma_at_the_container_address(extras: ComposeStack, lab: Jupyter) -> None:
    """A browser on this machine reaches that address, also by a foreign host name that resolves to it."""
    assert lab.execute(STORE).strip() == "Paris"
    networks = json.loads(docker("inspect", extras.container("chroma")))[0]["NetworkSettings"]["Networks"]
    (address,) = [network["IPAddress"] for network in networks.values()]
    path = "/api/v2/tenants/default_tenant/databases/default_database/collections"

    def status(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> int:
        with closing(http.client.HTTPConnection(address, 8000, timeout=20)) as connection:
            connection.request(method, path, body, headers)
            return connection.getresponse().status

    for headers in (
        {"Host": "evil.example:8000"},
        {"Host": f"{address}:8000"},
        {"Host": "chroma:8000", "Origin": "http://evil.example:8000"},
    ):
        assert status("GET", path, headers) == 403
        assert status("POST", path, headers, b" " * 10_000_000) == 403
        assert status("DELETE", f"{path}/towns", headers) == 403
    with closing(http.client.HTTPConnection(address, 8000, timeout=20)) as connection:
        for _ in range(3):
            connection.request("GET", path, headers={"Host": "chroma:8000"})
            response = connection.getresponse()
            collections = [collection["name"] for collection in json.load(response)]
            assert (response.status, collections) == (200, ["towns"])
    assert lab.execute(LARGE).strip() == "1000"
    with pytest.raises(OSError):  # noqa: PT011 - connection refused, or timeout
        socket.create_connection((address, 8001), timeout=5)


def test_idle_kernel_is_terminated(lab: Jupyter) -> None:
    idle = lab.call("POST", "api/kernels", {"name": "python3"})["id"]
    deadline = time.monotonic() + 60
    while idle in [kernel["id"] for kernel in lab.call("GET", "api/kernels")]:
        assert time.monotonic() < deadline
        time.sleep(0.5)


@pytest.mark.usefixtures("lab")
def test_tools_and_compilers_work_for_the_user_of_the_lab() -> None:
    script = f"for tool in gemini claude codex; do $tool --version; done; {COMPILE}"
    command = ["docker", "run", "--rm", "--network=none", "--user=4242:0", IMAGE, "bash", "-euc", script]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    gemini, claude, codex, six = result.stdout.splitlines()
    assert gemini[0].isdigit()
    assert "Claude Code" in claude
    assert codex.startswith("codex-cli")
    assert six == "6"


def test_self_signed_certificate_is_replaced_if_mkcert_is_installed(
    extras: ComposeStack, lab: Jupyter, tmp_path: Path
) -> None:
    path = f"{debian.unpacked('mkcert')}/usr/bin:{os.environ['PATH']}"
    started = extras.inv("compose.up", environ={"PATH": path, "CAROOT": str(tmp_path)})
    assert started.returncode == 0, started.stderr
    assert "signed by mkcert" in started.stderr
    assert Jupyter(lab.url, tmp_path / "rootCA.pem").status("api/status") == 200
    backed_up = extras.inv("data.backup", f"--file={tmp_path / 'home.tar.gz'}")
    assert backed_up.returncode == 0, backed_up.stderr
