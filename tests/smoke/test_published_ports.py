"""What the machine's other users, the network and web pages can reach: only Compose publishes ports on a machine."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from harness.stack import ComposeStack, docker

# Each published service, and the headers by which it has to notice that a web page of somebody else's asks. The Host
# is foreign where the page's name was made to lead to this machine: to the browser both are the same site then.
NOTICED = [("ollama", "Host"), ("ollama", "Origin"), ("devai", "Host"), ("devai", "Origin")]
OF_OLLAMA = [("GET", "/api/tags"), ("POST", "/api/generate"), ("DELETE", "/api/delete")]


def status(address: tuple[str, int], method: str, path: str, **headers: str) -> int:
    """What a request with these headers is answered with."""
    return answered(address, method, path, headers)[0]


def answered(
    address: tuple[str, int], method: str, path: str, headers: Mapping[str, str]
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """The same with the headers of the answer and its body."""
    with closing(http.client.HTTPConnection(*address, timeout=20)) as connection:
        connection.request(method, path, headers=dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


def test_nothing_listens_beyond_the_loopback_unless_configured(stack: ComposeStack) -> None:
    allowed = {"devai": stack.settings.network.bind_address, "ollama": "127.0.0.1"}
    assert {name: address for name, (address, _) in stack.published.items()} == {
        name: allowed[name] for name in stack.services
    }


def test_every_published_port_is_asked_below(stack: ComposeStack) -> None:
    assert stack.published.keys() <= {service for service, _ in NOTICED}


@pytest.mark.parametrize(("service", "header"), NOTICED)
def test_a_foreign_web_page_is_refused(stack: ComposeStack, service: str, header: str) -> None:
    if service not in stack.published:
        pytest.skip("this stack does not publish it")
    address, foreign = stack.published[service], {"Host": "evil.example", "Origin": "http://evil.example"}
    if service == "devai":
        # What a browser has once the lab was opened in it.
        page = urlsplit(stack.jupyter.url)
        cookie = answered(address, "GET", f"{page.path}?{page.query}", {})[1]["Set-Cookie"].partition(";")[0]
        requests, own = [("GET", f"{page.path.removesuffix('lab')}api/contents")], {"Cookie": cookie}
    else:
        requests, own = OF_OLLAMA, {}
    method, path = requests[0]
    assert status(address, method, path, **own) == 200
    for method, path in requests:
        assert status(address, method, path, **own, **{header: foreign[header]}) in (403, 404)


def test_ollama_knows_its_own_names_and_no_other_on_each_way_to_it(stack: ComposeStack) -> None:
    """A browser on Linux reaches the container's own address as well."""
    if "ollama" not in stack.published:
        pytest.skip("this stack does not publish it")
    networks = json.loads(docker("inspect", stack.container("ollama")))[0]["NetworkSettings"]["Networks"].values()
    for address in (stack.published["ollama"], *((network["IPAddress"], 11434) for network in networks)):
        for host in (f"{address[0]}:{address[1]}", f"localhost:{address[1]}", "ollama:11434"):
            assert status(address, "GET", "/api/tags", Host=host, Origin=f"http://{host}") == 200
        for host in ("evil.example", f"evil.example:{address[1]}", "ollama.evil.example", "8.8.8.8"):
            code, _, body = answered(address, "GET", "/api/tags", {"Host": host, "Origin": f"http://{host}"})
            assert (code, body) == (403, b"")
