"""Plays a cloud's load balancer: ends TLS, and leads requests to the service that an Ingress of the cluster names."""

from __future__ import annotations

import http.client
import re
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from harness.kubernetes.api import Cluster, kubectl_program
from harness.kubernetes.certificates import Authority


@contextmanager
def load_balancer(cluster: Cluster, host: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """A load balancer for a host name; gives its address and the file of the authority to trust."""
    authority = Authority.new(folder)
    authority.issue("site", user=host, addresses=[f"DNS:{host}"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.certificate("site"), authority.key("site"))
    handler = type("Handler", (_Handler,), {"cluster": cluster, "host": host})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        # The handshake is each connection's own: one that fails is not the listener's end.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"127.0.0.1:{server.server_port}", authority.ca
        server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    cluster: Cluster
    host: str

    def do_GET(self) -> None:
        """Answer as the service does, or as load balancers do where there is none."""
        found = _service(self.cluster, self.host)
        if not found:
            return self.send_error(503)
        with _forwarded(self.cluster, *found) as port:
            if not port:
                return self.send_error(502)
            kept = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
            try:
                with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as backend:
                    backend.request("GET", self.path, headers=kept)
                    answer = backend.getresponse()
                    content = answer.read()
            except OSError:
                return self.send_error(502)
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        return None

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _service(cluster: Cluster, host: str) -> tuple[str, str, str] | None:
    """Namespace, name and port of the service behind the Ingress for a host."""
    for item in cluster.get("ingresses", "--all-namespaces")["items"]:
        for rule in item["spec"]["rules"]:
            if rule["host"] == host:
                service = rule["http"]["paths"][0]["backend"]["service"]
                port = service["port"].get("name") or str(service["port"]["number"])
                return item["metadata"]["namespace"], service["name"], port
    return None


@contextmanager
def _forwarded(cluster: Cluster, namespace: str, service: str, port: str) -> Iterator[int]:
    """A port of this machine that leads to a service; 0 where no pod of it is ready."""
    target = [f"--namespace={namespace}", "port-forward", f"service/{service}", f":{port}"]
    with subprocess.Popen(
        [kubectl_program(), f"--kubeconfig={cluster.kubeconfig}", *target],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout
        found = re.search(r":(\d+) ->", process.stdout.readline())
        yield int(found[1]) if found else 0
        process.terminate()
