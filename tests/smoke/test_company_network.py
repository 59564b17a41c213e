"""Builds and the running lab behind a proxy that requires a password, with a company's own CA certificates.

The password, the certificates and an API key contain canaries, which must not appear in images, logs or definitions.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.proxy import Proxy, proxy
from harness.stack import CANARY, ComposeStack, assert_not_exposed, docker

IMAGE = "devai-test-lab:local-smoke"
PASSWORD = "canary-of-the-proxy-0123456789"
CERTIFICATE = "canary-of-the-certificates-0123456789"
ASK = """
import os, subprocess, sys
import ollama
print(ollama.list().models[0].model)
for name in ("https_proxy", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "NODE_EXTRA_CA_CERTS"):
    print(os.environ[name])
print("canary" in open(os.environ["SSL_CERT_FILE"]).read())
print(subprocess.run(["pip", "install", "--quiet", "--no-deps", "--target=/tmp/through", "tomli-w"],
                     capture_output=True, text=True).stderr)
"""


@pytest.fixture(scope="module")
def company() -> Iterator[Proxy]:
    with proxy(PASSWORD) as server:
        yield server


@pytest.fixture(scope="module")
def engines_host() -> str:
    """The address of this machine for containers and builds."""
    return docker("network", "inspect", "bridge", "--format={{(index .IPAM.Config 0).Gateway}}").strip()


@pytest.fixture(scope="module")
def bundle(stack: ComposeStack) -> Path:
    """The certificates that this machine trusts, with a canary in a comment."""
    trusted = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    file = stack.project.root / "company-ca.crt"
    text = Path(trusted).read_text(encoding="utf-8") if trusted else ""
    file.write_text(f"# {CERTIFICATE}\n{text}", encoding="utf-8")
    return file


@pytest.fixture
def environ(company: Proxy, engines_host: str, bundle: Path) -> dict[str, str]:
    """The environment of a user behind the proxy; it overrides the proxy that this machine may use itself."""
    network = {"HTTPS_PROXY": company.url(engines_host), "DEVAI__IMAGE__CA_FILE": bundle.name, "NO_PROXY": "127.0.0.1"}
    return network | {"OPENAI_API_KEY": CANARY}


def assert_no_layer_has(image: str, *secrets: str) -> None:
    """Read the whole image as the engine exports it, and assert that no layer contains a secret."""
    with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as saved:
        assert saved.stdout
        rest, size = b"", 0
        while block := saved.stdout.read(1 << 22):
            size += len(block)
            assert not [secret for secret in secrets if secret.encode() in rest + block]
            rest = block[-100:]
    assert saved.returncode == 0
    assert size > 100e6  # `docker save` of this kind of engine writes layers uncompressed


def test_build_uses_the_proxy_and_stores_no_trace_of_it_in_the_image(
    stack: ComposeStack, company: Proxy, environ: dict[str, str]
) -> None:
    requirements = stack.project.root / "requirements.txt"
    shipped = requirements.read_text(encoding="utf-8")
    requirements.write_text(f"tomli-w # {uuid.uuid4()}\n", encoding="utf-8")
    docker("tag", IMAGE, f"{IMAGE}-before")
    try:
        built = stack.inv("image.build", environ=environ)
        assert built.returncode == 0, built.stderr
        assert company.tunnels, "the build did not use the proxy"
        assert not company.refused
        history = docker("history", "--no-trunc", IMAGE)
        definition = docker("inspect", IMAGE)
        for canary in (PASSWORD, CERTIFICATE, CANARY):
            assert canary not in built.stdout + built.stderr + history + definition
        assert "_PROXY" not in history + definition
        assert_no_layer_has(IMAGE, PASSWORD, CERTIFICATE, CANARY)
        assert PASSWORD not in stack.inv("image.build", "--dry", environ=environ).stderr
    finally:
        requirements.write_text(shipped, encoding="utf-8")
        docker("tag", f"{IMAGE}-before", IMAGE)
        docker("rmi", f"{IMAGE}-before")


def test_lab_and_ollama_use_proxy_and_certificates_and_expose_no_secret(
    stack: ComposeStack, company: Proxy, engines_host: str, environ: dict[str, str]
) -> None:
    company.tunnels.clear()
    started = stack.inv("compose.up", environ=environ)
    try:
        assert started.returncode == 0, started.stderr
        model, https_proxy, *ca_files, has_canary = stack.jupyter.execute(ASK).split()
        assert model == "smollm2:135m"  # the lab connects to Ollama without the proxy
        assert https_proxy == environ["HTTPS_PROXY"]
        assert set(ca_files) == {"/etc/ssl/devai/ca.crt"}
        assert has_canary == "True"
        assert company.tunnels  # pip used the proxy
        pulled = stack.inv("models.pull", "--name=no-such-model-anywhere")
        assert pulled.returncode == 1
        assert any("ollama" in host for host in company.tunnels), "Ollama did not use the proxy"
        assert not company.refused
        logs = stack.inv("compose.logs", "--service=ollama").stdout
        for canary in (PASSWORD, CERTIFICATE):
            assert_not_exposed(stack, canary)
            assert canary not in started.stderr + pulled.stderr
            assert canary not in json.dumps([docker("inspect", stack.container(name)) for name in stack.services])
            assert canary not in logs
        assert f"//***@{engines_host}" in logs  # Ollama prints its variables
    finally:
        assert stack.inv("compose.up").returncode == 0
