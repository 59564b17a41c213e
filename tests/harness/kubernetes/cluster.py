"""A cluster with one node that runs pods, with the components of the newest release."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.kubernetes import addons, images, node_config
from harness.kubernetes import node as nodes
from harness.kubernetes.api import Cluster
from harness.kubernetes.certificates import CONTEXT, Authority
from harness.kubernetes.control_plane import ControlPlane
from harness.kubernetes.node import ADDRESS, Node
from harness.kubernetes.releases import NEWEST

# Paths in the node.
HERE, PROGRAMS = Path("/run/node"), Path("/run/programs")
ADMIN = HERE / "kubeconfigs/admin"
PORT = 6443
NODE = "node"
NEEDS = ("containerd", "ctr", "runc", "iptables", "ipset", "ip", "openssl", "nsenter", "setpriv", "unshare")
"""Programs that must be installed for a cluster."""


@dataclass(frozen=True)
class LocalCluster(Cluster):
    """A cluster that tests started on this machine."""

    node: Node

    @property
    def containerd(self) -> Path:
        """The socket of the node's containerd, for `ctr --address` on the machine."""
        return Path(f"/proc/{self.node.first_process}/root/run/containerd/containerd.sock")

    def load_image(self, name: str) -> None:
        """Import an image of the local Docker engine into the node's containerd."""
        images.load(self.node, name)


@contextmanager
def running() -> Iterator[LocalCluster]:
    """Run a cluster, at most until this process ends."""
    cluster = start(keep=False)
    try:
        yield cluster
    finally:
        cluster.node.remove()


def start(*, keep: bool) -> LocalCluster:
    """Start a cluster that is ready for pods; with `keep` it runs until its node is removed.

    Needs root and the programs in NEEDS.

    Raises:
        go.BuildError: a program could not be built.
        StartError: a component did not start; the message contains the last lines of its log.
        subprocess.CalledProcessError: the node could not be set up.
    """
    programs = NEWEST.programs()
    addons.build()
    node = nodes.make(programs, keep=keep)
    try:
        return _start_in(node)
    except BaseException:
        node.remove()
        raise


def of(node: Node) -> LocalCluster:
    """Return the cluster on a node."""
    return LocalCluster(node.folder / "kubeconfig", NEWEST.version, CONTEXT, node_config.STORAGE_CLASS, node)


def _start_in(node: Node) -> LocalCluster:
    outside = ControlPlane(node.folder, Authority.new(node.folder / "pki"), etcd_port=2379, peer_port=2380, port=PORT)
    outside.issue(["127.0.0.1", ADDRESS, node.reachable_at])
    _write_kubeconfigs(node, outside.authority)
    node_config.write(node.folder, node.name)
    cluster = of(node)

    # The same files with their paths in the node.
    plane = ControlPlane(HERE, Authority(HERE / "pki"), outside.etcd_port, outside.peer_port, PORT)
    node.start("etcd", plane.etcd(PROGRAMS))
    containerd = node.start("containerd", ["containerd", f"--config={HERE}/containerd.toml"])
    serve = [*plane.apiserver(PROGRAMS, listen="0.0.0.0"), f"--advertise-address={ADDRESS}"]
    api = node.start("kube-apiserver", serve)
    containerd.wait_until(lambda: _succeeds(node, "ctr", "version"))
    images.load_program(node, node_config.PAUSE_IMAGE, NEWEST.folder / "pause")
    api.wait_until(lambda: cluster.kubectl("get", "--raw=/readyz").returncode == 0)
    applied = cluster.apply(*node_config.objects())
    assert applied.returncode == 0, applied.stderr

    parts = {name: node.start(name, [f"{PROGRAMS}/{name}", *arguments]) for name, arguments in _parts(plane).items()}
    parts["kubelet"].wait_until(lambda: _fulfills(cluster, "Ready", f"node/{NODE}"))
    node.start("kube-router", addons.kube_router(ADMIN, NODE))
    metrics = node.start("metrics-server", addons.metrics_server(ADMIN, plane.authority.ca, HERE / "metrics-server"))
    parts["coredns"].wait_until(lambda: "CoreDNS-" in parts["coredns"].log.read_text(encoding="utf-8"))
    account = ("get", "serviceaccount/default", "--namespace=default")
    parts["kube-controller-manager"].wait_until(lambda: cluster.kubectl(*account).returncode == 0)
    # Until all APIs answer, the deletion of a namespace does not finish.
    metrics.wait_until(lambda: _fulfills(cluster, "Available", f"apiservice/{addons.METRICS_API}"))
    return cluster


def _write_kubeconfigs(node: Node, authority: Authority) -> None:
    """Write the kubeconfigs of the components, and the kubeconfig for use on the machine."""
    folder = node.folder / "kubeconfigs"
    folder.mkdir()
    authority.issue(NODE, user=f"system:node:{NODE}", group="system:nodes", addresses=[f"IP:{ADDRESS}", f"DNS:{NODE}"])
    for part in ("kube-controller-manager", "kube-scheduler", "kube-proxy"):
        authority.issue(part, user=f"system:{part}")
    for user in ("admin", NODE, "kube-controller-manager", "kube-scheduler", "kube-proxy"):
        authority.kubeconfig(user, f"https://127.0.0.1:{PORT}", folder / user)
    authority.kubeconfig("admin", f"https://{node.reachable_at}:{PORT}", node.folder / "kubeconfig")


def _parts(plane: ControlPlane) -> dict[str, list[str]]:
    """Return the arguments of the components that use the API server."""

    def as_user(name: str) -> str:
        return f"--kubeconfig={HERE}/kubeconfigs/{name}"

    return {
        "kube-controller-manager": [
            as_user("kube-controller-manager"),
            "--leader-elect=false",
            "--use-service-account-credentials",
            # Autoscalers use the metrics of new pods earlier than the defaults, 5 minutes and 30 seconds.
            "--horizontal-pod-autoscaler-cpu-initialization-period=10s",
            "--horizontal-pod-autoscaler-initial-readiness-delay=5s",
            "--horizontal-pod-autoscaler-sync-period=5s",
            f"--service-account-private-key-file={plane.account_key}",
            f"--root-ca-file={plane.authority.ca}",
        ],
        "kube-scheduler": [as_user("kube-scheduler"), "--leader-elect=false"],
        "kube-proxy": [
            as_user("kube-proxy"),
            f"--hostname-override={NODE}",
            "--proxy-mode=iptables",
            f"--cluster-cidr={node_config.PODS}",
            # Keep kube-proxy from changing settings of the machine's kernel.
            *("--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0"),
            "--conntrack-tcp-timeout-close-wait=0",
        ],
        "kubelet": [
            as_user(NODE),
            f"--config={HERE}/kubelet.json",
            f"--hostname-override={NODE}",
            f"--node-ip={ADDRESS}",
        ],
        "coredns": ["-conf", f"{HERE}/Corefile"],
        "provisioner": [
            f"-kubeconfig={ADMIN}",
            f"-name={node_config.PROVISIONER}",
            f"-root={HERE}/volumes",
        ],
    }


def _succeeds(node: Node, *command: str) -> bool:
    return subprocess.run(node.inside(*command), capture_output=True, check=False).returncode == 0


def _fulfills(cluster: LocalCluster, condition: str, item: str) -> bool:
    return cluster.kubectl("wait", item, f"--for=condition={condition}", "--timeout=1s").returncode == 0
