"""Access to a stack's published ports by other users of the machine, the network and web pages.

Only Compose publishes ports on a machine.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from harness.stack import ComposeStack, docker

# Each published service with a header that shows that a request is from a foreign web page. The Host is foreign after
# DNS rebinding: the page's own name resolves to this machine, so the browser treats page and service as one site.
CHECKED_HEADERS = [("ollama", "Host"), ("ollama", "Origin"), ("devai", "Host"), ("devai", "Origin")]
OLLAMA_REQUESTS = [("GET", "/api/tags"), ("POST", "/api/generate"), ("DELETE", "/api/delete")]


def status(address: tuple[str, int], method: str, path: str, **headers: str) -> int:
    """Return the status of the response to a request with these headers."""
    return response_to(address, method, path, headers)[0]


def response_to(
    address: tuple[str, int], method: str, path: str, headers: Mapping[str, str]
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """Return status, headers and body of the response to a request."""
    with closing(http.client.HTTPConnection(*address, timeout=20)) as connection:
        connection.request(method, path, headers=dict(headers))
        response = connection.getresponse()
        return response.status, response.headers, response.read()


def test_ports_are_published_on_the_loopback_interface_unless_configured(stack: ComposeStack) -> None:
    allowed = {"devai": stack.settings.network.bind_address, "ollama": "127.0.0.1"}
    assert {name: address for name, (address, _) in stack.published.items()} == {
        name: allowed[name] for name in stack.services
    }


def test_every_published_port_is_tested(stack: ComposeStack) -> None:
    assert stack.published.keys() <= {service for service, _ in CHECKED_HEADERS}


@pytest.mark.parametrize(("service", "header"), CHECKED_HEADERS)
def test_request_from_a_foreign_web_page_is_refused(stack: ComposeStack, service: str, header: str) -> None:
    if service not in stack.published:
        pytest.skip("this stack does not publish it")
    address, foreign = stack.published[service], {"Host": "evil.example", "Origin": "http://evil.example"}
    if service == "devai":
        # The cookie that a browser has after the lab was opened.
        page = urlsplit(stack.jupyter.url)
        cookie = response_to(address, "GET", f"{page.path}?{page.query}", {})[1]["Set-Cookie"].partition(";")[0]
        requests, headers = [("GET", f"{page.path.removesuffix('lab')}api/contents")], {"Cookie": cookie}
    else:
        requests, headers = OLLAMA_REQUESTS, {}
    method, path = requests[0]
    assert status(address, method, path, **headers) == 200
    for method, path in requests:
        assert status(address, method, path, **headers, **{header: foreign[header]}) in (403, 404)


def test_ollama_accepts_only_its_own_host_names_on_each_address(stack: ComposeStack) -> None:
    """A browser on Linux can also reach the address of the container."""
    if "ollama" not in stack.published:
        pytest.skip("this stack does not publish it")
    networks = json.loads(docker("inspect", stack.container("ollama")))[0]["NetworkSettings"]["Networks"].values()
    for address in (stack.published["ollama"], *((network["IPAddress"], 11434) for network in networks)):
        for host in (f"{address[0]}:{address[1]}", f"localhost:{address[1]}", "ollama:11434"):
            assert status(address, "GET", "/api/tags", Host=host, Origin=f"http://{host}") == 200
        for host in ("evil.example", f"evil.example:{address[1]}", "ollama.evil.example", "8.8.8.8"):
            code, _, body = response_to(address, "GET", "/api/tags", {"Host": host, "Origin": f"http://{host}"})
            assert (code, body) == (403, b"")
