"""What a lab has when it is asked to: command-line tools, compilers, a vector store, HTTPS, an end of idle kernels."""

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
# Embeddings of one's own, for the usual ones come from a hub.
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
large.add(ids=ids, embeddings=[[float(len(one)), 1.0] for one in ids], documents=["x" * 10_000] * 1000)
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
    """A stack with all of it, and without an Ollama."""
    (stack.project.conf / "profiles/extras.yaml").write_text(
        f"project: {{name: devai-test}}\nports: {{lab: {free_port()}}}\nollama: {{mode: host}}\n"
        "storage: {work_dir: work}\nvector_store: {kind: chroma}\ntls: {local: true}\n"
        "image: {tools: [gemini-cli, claude-code, codex], compilers: true}\ncompute: {idle_timeout: 10s}\n"
        "resources: {lab: {memory: 1Gi}, vector_store: {memory: 1Gi}}\n",
        encoding="utf-8",
    )
    own = ComposeStack(stack.project, "extras")
    try:
        yield own
    finally:
        assert own.inv("compose.down", "--data", "--confirm=devai-test-local-extras").returncode == 0
        docker("rmi", IMAGE)


@pytest.fixture(scope="module")
def lab(extras: ComposeStack) -> Jupyter:
    started = extras.inv("compose.up")
    assert started.returncode == 0, started.stderr
    return https(extras, started.stdout)


def https(extras: ComposeStack, url: str) -> Jupyter:
    """The lab behind a printed address, as whoever knows its certificate reaches it."""
    return Jupyter(url.strip(), extras.project.state(extras.settings.stack) / "tls.crt")


def test_the_lab_speaks_https_with_a_certificate_for_its_address(extras: ComposeStack, lab: Jupyter) -> None:
    assert lab.url.startswith("https://127.0.0.1:")
    assert lab.status("api/status", token=False) == 403
    assert lab.status("api/status") == 200
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        Jupyter(lab.url, Path(certifi.where())).status("api/status")
    key = extras.project.state(extras.settings.stack) / "tls.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert_not_exposed(extras, key.read_text(encoding="utf-8").splitlines()[1])
    assert lab.url.partition("?")[0] in extras.inv("compose.logs", "--service=devai").stdout  # as Jupyter shows it


def test_the_home_leaves_a_lab_that_no_authority_knows(extras: ComposeStack, lab: Jupyter, tmp_path: Path) -> None:
    assert lab.status("api/status") == 200
    backed_up = extras.inv("data.backup", f"--file={tmp_path / 'home.tar.gz'}")
    assert backed_up.returncode == 0, backed_up.stderr
    restored = extras.inv("data.restore", f"--file={tmp_path / 'home.tar.gz'}", "--yes")
    assert restored.returncode == 0, restored.stderr


def test_embeddings_are_stored_and_stay(extras: ComposeStack, lab: Jupyter) -> None:
    assert lab.execute(STORE).strip() == "Paris"
    assert extras.inv("compose.down").returncode == 0
    started = extras.inv("compose.up")
    assert started.returncode == 0, started.stderr
    kept = STORE.replace("if not towns.count():", "assert towns.count() == 2\nif False:")
    assert https(extras, started.stdout).execute(kept).strip() == "Paris"


def test_pages_of_others_get_nothing_from_chroma_at_its_own_address(extras: ComposeStack, lab: Jupyter) -> None:
    """Which a browser of this machine reaches, and to which a name can be made to lead."""
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
            answer = connection.getresponse()
            assert (answer.status, [found["name"] for found in json.load(answer)]) == (200, ["towns"])
    assert lab.execute(LARGE).strip() == "1000"
    with pytest.raises(OSError):  # noqa: PT011 - refused, or cut off
        socket.create_connection((address, 8001), timeout=5)


def test_a_kernel_that_nobody_uses_is_ended(lab: Jupyter) -> None:
    idle = lab.call("POST", "api/kernels", {"name": "python3"})["id"]
    end = time.monotonic() + 60
    while idle in [kernel["id"] for kernel in lab.call("GET", "api/kernels")]:
        assert time.monotonic() < end
        time.sleep(0.5)


@pytest.mark.usefixtures("lab")
def test_tools_and_compilers_work_as_the_labs_user() -> None:
    script = f"for tool in gemini claude codex; do $tool --version; done; {COMPILE}"
    command = ["docker", "run", "--rm", "--network=none", "--user=4242:0", IMAGE, "bash", "-euc", script]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    gemini, claude, codex, six = ran.stdout.splitlines()
    assert gemini[0].isdigit()
    assert "Claude Code" in claude
    assert codex.startswith("codex-cli")
    assert six == "6"


def test_mkcert_signs_again_what_was_self_signed_and_is_vouched_for_by_its_authority(
    extras: ComposeStack, lab: Jupyter, tmp_path: Path
) -> None:
    path = f"{debian.unpacked('mkcert')}/usr/bin:{os.environ['PATH']}"
    started = extras.inv("compose.up", environ={"PATH": path, "CAROOT": str(tmp_path)})
    assert started.returncode == 0, started.stderr
    assert "signed by mkcert" in started.stderr
    assert Jupyter(lab.url, tmp_path / "rootCA.pem").status("api/status") == 200
    backed_up = extras.inv("data.backup", f"--file={tmp_path / 'home.tar.gz'}")
    assert backed_up.returncode == 0, backed_up.stderr
