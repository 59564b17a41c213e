"""Fake of a cloud's load balancer: terminates TLS, and forwards requests to the service of an Ingress."""

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
    """Run a load balancer for a host name; yield its address and the file of its certificate authority."""
    authority = Authority.new(folder)
    authority.issue("site", user=host, addresses=[f"DNS:{host}"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.certificate("site"), authority.key("site"))
    handler = type("Handler", (_Handler,), {"cluster": cluster, "host": host})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        # Each connection does its own handshake, so that a failed handshake does not stop the listener.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"127.0.0.1:{server.server_port}", authority.ca
        server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    cluster: Cluster
    host: str

    def do_GET(self) -> None:
        """Answer as the service does; without a service or a ready pod answer as load balancers do."""
        service = _service(self.cluster, self.host)
        if not service:
            return self.send_error(503)
        with _forwarded(self.cluster, *service) as port:
            if not port:
                return self.send_error(502)
            headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
            try:
                with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as backend:
                    backend.request("GET", self.path, headers=headers)
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
        """Log nothing."""


def _service(cluster: Cluster, host: str) -> tuple[str, str, str] | None:
    """Return namespace, name and port of the service behind the Ingress of a host."""
    for item in cluster.get("ingresses", "--all-namespaces")["items"]:
        for rule in item["spec"]["rules"]:
            if rule["host"] == host:
                service = rule["http"]["paths"][0]["backend"]["service"]
                port = service["port"].get("name") or str(service["port"]["number"])
                return item["metadata"]["namespace"], service["name"], port
    return None


@contextmanager
def _forwarded(cluster: Cluster, namespace: str, service: str, port: str) -> Iterator[int]:
    """Forward a port of this machine to a service; yield the port, or 0 if no pod of the service is ready."""
    target = [f"--namespace={namespace}", "port-forward", f"service/{service}", f":{port}"]
    with subprocess.Popen(
        [kubectl_program(), f"--kubeconfig={cluster.kubeconfig}", *target],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout
        match = re.search(r":(\d+) ->", process.stdout.readline())
        yield int(match[1]) if match else 0
        process.terminate()
