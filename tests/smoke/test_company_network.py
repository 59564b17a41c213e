"""Behind a proxy that wants a password, with certificates of the company's own: builds and the running lab.

The password, the certificates and a key carry canaries, and nothing that others look into shows one.
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
    """This machine, as containers and builds see it."""
    return docker("network", "inspect", "bridge", "--format={{(index .IPAM.Config 0).Gateway}}").strip()


@pytest.fixture(scope="module")
def bundle(stack: ComposeStack) -> Path:
    """The certificates that this machine trusts, with a line more."""
    trusted = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    file = stack.project.root / "company-ca.crt"
    text = Path(trusted).read_text(encoding="utf-8") if trusted else ""
    file.write_text(f"# {CERTIFICATE}\n{text}", encoding="utf-8")
    return file


@pytest.fixture
def environ(company: Proxy, engines_host: str, bundle: Path) -> dict[str, str]:
    """What a person's shell has there; the other way out, which this machine has, is none for what runs here."""
    network = {"HTTPS_PROXY": company.url(engines_host), "DEVAI__IMAGE__CA_FILE": bundle.name, "NO_PROXY": "127.0.0.1"}
    return network | {"OPENAI_API_KEY": CANARY}


def assert_no_layer_has(image: str, *secrets: str) -> None:
    """Read all of an image, layer by layer, as the engine would hand it on."""
    with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as saved:
        assert saved.stdout
        rest, size = b"", 0
        while block := saved.stdout.read(1 << 22):
            size += len(block)
            found = [secret for secret in secrets if secret.encode() in rest + block]
            assert not found
            rest = block[-100:]
    assert saved.returncode == 0
    assert size > 100e6  # uncompressed, as `docker save` of this engine's kind writes it


def test_a_build_goes_through_the_proxy_and_keeps_nothing_of_it(
    stack: ComposeStack, company: Proxy, environ: dict[str, str]
) -> None:
    requirements = stack.project.root / "requirements.txt"
    shipped = requirements.read_text(encoding="utf-8")
    requirements.write_text(f"tomli-w # {uuid.uuid4()}\n", encoding="utf-8")
    docker("tag", IMAGE, f"{IMAGE}-before")
    try:
        built = stack.inv("image.build", environ=environ)
        assert built.returncode == 0, built.stderr
        assert company.tunnels, "the build went another way"
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


def test_the_lab_and_ollama_know_proxy_and_certificates_and_tell_nobody(
    stack: ComposeStack, company: Proxy, engines_host: str, environ: dict[str, str]
) -> None:
    company.tunnels.clear()
    started = stack.inv("compose.up", environ=environ)
    try:
        assert started.returncode == 0, started.stderr
        model, https, *trusted, canary = stack.jupyter.execute(ASK).split()
        assert model == "smollm2:135m"  # beside the proxy: Ollama is a neighbor
        assert https == environ["HTTPS_PROXY"]
        assert set(trusted) == {"/etc/ssl/devai/ca.crt"}
        assert canary == "True"
        assert company.tunnels  # by pip
        pulled = stack.inv("models.pull", "--name=no-such-model-anywhere")
        assert pulled.returncode == 1
        assert any("ollama" in host for host in company.tunnels), "Ollama went another way"
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
