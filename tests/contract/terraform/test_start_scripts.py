"""The start scripts of managed containers, run as the platforms run them: one for sh and one for Python."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from harness import hcl

OLLAMA = hcl.ROOT / "modules/compute/ollama.sh"
START = hcl.ROOT / "modules/compute/azure/start.py"

# Fake of Ollama: runs until SIGTERM, is ready after a moment, and has no model `missing`.
FAKE_OLLAMA = """#!/bin/sh
echo "$*" >>"$LOG"
case "$1" in
serve)
    touch "$LOG.up"
    trap 'echo stopped >>"$LOG"; exit 0' TERM
    while :; do sleep 0.05; done ;;
list) test -e "$LOG.up" ;;
pull) test "$2" != missing ;;
esac
"""


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The log of the fake Ollama's commands; the fake is the first `ollama` on PATH."""
    program = tmp_path / "ollama"
    program.write_text(FAKE_OLLAMA, encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    return tmp_path / "log"


def eventually(log: Path, line: str) -> None:
    """Wait until the log has a line."""
    for _ in range(200):
        if log.exists() and line in log.read_text(encoding="utf-8").splitlines():
            return
        time.sleep(0.05)
    pytest.fail(f"{line!r} is not in {log.read_text(encoding='utf-8')!r}")


def test_model_server_skips_failed_pulls_and_stops_on_sigterm(log: Path) -> None:
    command = ["/bin/sh", "-c", OLLAMA.read_text(encoding="utf-8"), "ollama", "missing", "smollm2:135m"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        eventually(log, "pull smollm2:135m")
        process.send_signal(signal.SIGTERM)  # as a platform stops a container
        _, errors = process.communicate(timeout=10)

    assert "not pulled: missing" in errors
    assert log.read_text(encoding="utf-8").splitlines()[-1] == "stopped"


class Azure(BaseHTTPRequestHandler):
    """Fake of the metadata service and the vault; the vault denies the first request, as before a role takes effect."""

    requests: list[str]

    def do_GET(self) -> None:
        """Return a token for a request with the metadata header, and a secret for a request with the token."""
        if self.path.startswith("/metadata"):
            allowed = self.headers["Metadata"] == "true" and "client_id=me" in self.path
            answer = {"access_token": "token"}
        else:
            allowed = self.headers["Authorization"] == "Bearer token" and self.path in self.requests
            answer = {"value": "canary"}
        self.requests.append(self.path)
        self.send_response(200 if allowed else 403)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def azure() -> Iterator[str]:
    """The address of the fake."""
    Azure.requests = []
    with HTTPServer(("127.0.0.1", 0), Azure) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_lab_fetches_secrets_without_printing_them(azure: str) -> None:
    script = START.read_text(encoding="utf-8").replace("http://169.254.169.254", azure).replace("sleep(5)", "sleep(0)")
    environ = {"AZURE_CLIENT_ID": "me", "SECRETS": json.dumps({"JUPYTER_TOKEN": f"{azure}/secrets/JUPYTER-TOKEN"})}
    code = "import os; print(len(os.environ['JUPYTER_TOKEN']), 'SECRETS' in os.environ)"

    result = subprocess.run(
        [sys.executable, "-c", script, sys.executable, "-c", code],
        env=environ, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert result.stdout == "6 False\n"  # the length of canary
    assert "answers 403" in result.stderr
    assert "canary" not in result.stderr
    assert "token" not in result.stderr.replace("oauth2/token", "")
