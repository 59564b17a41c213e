"""An API server with admission, validation and storage, without controllers, scheduler and nodes.

So no pod starts, a namespace gets no default service account, and a deleted namespace stays `Terminating`.
"""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from harness.kubernetes.api import Kubernetes
from harness.kubernetes.certificates import CONTEXT, Authority
from harness.kubernetes.control_plane import ControlPlane
from harness.kubernetes.programs import Program, kill_with_parent
from harness.kubernetes.releases import NEWEST, Release

LOOPBACK = "127.0.0.1"


class ApiServer(Kubernetes):
    """etcd and kube-apiserver on loopback."""


@contextmanager
def running(release: Release) -> Iterator[ApiServer]:
    """Run an API server of a release; this needs no root."""
    programs, newest = release.programs(), NEWEST.programs()
    folder = Path(tempfile.mkdtemp(prefix="devai-kubernetes-"))
    try:
        etcd_port, peer_port, port = _free_ports(3)
        plane = ControlPlane(folder, Authority.new(folder / "pki"), etcd_port, peer_port, port)
        plane.issue([LOOPBACK])
        kubeconfig = plane.authority.kubeconfig("admin", f"https://{LOOPBACK}:{port}", folder / "kubeconfig")
        server = ApiServer(kubeconfig, release.version, CONTEXT)
        with ExitStack() as stack:
            # Both releases use the newest etcd; the oldest release builds only its API server.
            etcd = Program([*kill_with_parent(), *plane.etcd(newest)], folder / "etcd.log")
            stack.callback(etcd.stop)
            etcd.wait_until(lambda: _listens(etcd_port))
            # No pod uses the endpoints of the service `kubernetes`, and endpoints cannot be loopback addresses.
            command = [*plane.apiserver(programs, listen=LOOPBACK), "--endpoint-reconciler-type=none"]
            api = Program([*kill_with_parent(), *command], folder / "kube-apiserver.log")
            stack.callback(api.stop)
            api.wait_until(lambda: server.kubectl("get", "--raw=/readyz").returncode == 0)
            yield server
    finally:
        shutil.rmtree(folder)


def _free_ports(count: int) -> list[int]:
    """Return free ports on loopback."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((LOOPBACK, 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0
