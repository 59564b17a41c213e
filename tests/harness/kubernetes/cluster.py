"""A cluster of one node: the components of the newest release, and pods that run."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.kubernetes import images, node, node_config
from harness.kubernetes.api import Cluster
from harness.kubernetes.certificates import CONTEXT, Authority
from harness.kubernetes.control_plane import ControlPlane
from harness.kubernetes.node import ADDRESS, Node
from harness.kubernetes.releases import NEWEST

# As they are called in the node.
HERE, PROGRAMS = Path("/run/node"), Path("/run/programs")
PORT = 6443
NODE = "node"
NEEDS = ("containerd", "ctr", "runc", "iptables", "ip", "openssl", "nsenter", "setpriv", "unshare")
"""Programs of the machine that a cluster needs."""


@dataclass(frozen=True)
class LocalCluster(Cluster):
    """A cluster that was started here."""

    node: Node

    @property
    def containerd(self) -> Path:
        """The node's containerd as the machine's `ctr --address` reaches it."""
        return Path(f"/proc/{self.node.first_process}/root/run/containerd/containerd.sock")

    def load_image(self, name: str) -> None:
        """Import an image of the local Docker engine into the node's containerd."""
        images.load(self.node, name)


@contextmanager
def running() -> Iterator[LocalCluster]:
    """A cluster for as long as the block lasts, and no longer than this process."""
    cluster = start(keep=False)
    try:
        yield cluster
    finally:
        cluster.node.remove()


def start(*, keep: bool) -> LocalCluster:
    """Start a cluster that is ready for pods; one that is kept runs until its node is removed.

    Needs root and NEEDS. Raises go.BuildError, StartError with the end of a log, or subprocess.CalledProcessError.
    """
    programs = NEWEST.programs()
    own = node.make(programs, keep=keep)
    try:
        return _start_in(own)
    except BaseException:
        own.remove()
        raise


def of(own: Node) -> LocalCluster:
    """The cluster on a node."""
    return LocalCluster(own.folder / "kubeconfig", NEWEST.version, CONTEXT, node_config.STORAGE_CLASS, own)


def _start_in(own: Node) -> LocalCluster:
    outside = ControlPlane(own.folder, Authority.new(own.folder / "pki"), etcd_port=2379, peer_port=2380, port=PORT)
    outside.issue(["127.0.0.1", ADDRESS, own.reachable_at])
    _write_kubeconfigs(own, outside.authority)
    node_config.write(own.folder, own.name)
    cluster = of(own)

    # The same files by their names in the node.
    plane = ControlPlane(HERE, Authority(HERE / "pki"), outside.etcd_port, outside.peer_port, PORT)
    own.start("etcd", plane.etcd(PROGRAMS))
    containerd = own.start("containerd", ["containerd", f"--config={HERE}/containerd.toml"])
    serve = [*plane.apiserver(PROGRAMS, listen="0.0.0.0"), f"--advertise-address={ADDRESS}"]
    api = own.start("kube-apiserver", serve)
    containerd.wait_until(lambda: _succeeds(own, "ctr", "version"))
    images.load_program(own, node_config.PAUSE_IMAGE, NEWEST.folder / "pause")
    api.wait_until(lambda: cluster.kubectl("get", "--raw=/readyz").returncode == 0)
    applied = cluster.apply(*node_config.objects())
    assert applied.returncode == 0, applied.stderr

    parts = {name: own.start(name, [f"{PROGRAMS}/{name}", *words]) for name, words in _parts(plane).items()}
    parts["kubelet"].wait_until(lambda: _ready(cluster))
    parts["coredns"].wait_until(lambda: "CoreDNS-" in parts["coredns"].log.read_text(encoding="utf-8"))
    account = ("get", "serviceaccount/default", "--namespace=default")
    parts["kube-controller-manager"].wait_until(lambda: cluster.kubectl(*account).returncode == 0)
    return cluster


def _write_kubeconfigs(own: Node, authority: Authority) -> None:
    """How each part reaches the API server, and how the machine does."""
    folder = own.folder / "kubeconfigs"
    folder.mkdir()
    authority.issue(NODE, user=f"system:node:{NODE}", group="system:nodes", addresses=[f"IP:{ADDRESS}", f"DNS:{NODE}"])
    for part in ("kube-controller-manager", "kube-scheduler", "kube-proxy"):
        authority.issue(part, user=f"system:{part}")
    for user in ("admin", NODE, "kube-controller-manager", "kube-scheduler", "kube-proxy"):
        authority.kubeconfig(user, f"https://127.0.0.1:{PORT}", folder / user)
    authority.kubeconfig("admin", f"https://{own.reachable_at}:{PORT}", own.folder / "kubeconfig")


def _parts(plane: ControlPlane) -> dict[str, list[str]]:
    """The flags of everything that talks to the API server."""

    def as_user(name: str) -> str:
        return f"--kubeconfig={HERE}/kubeconfigs/{name}"

    return {
        "kube-controller-manager": [
            as_user("kube-controller-manager"),
            "--leader-elect=false",
            "--use-service-account-credentials",
            f"--service-account-private-key-file={plane.account_key}",
            f"--root-ca-file={plane.authority.ca}",
        ],
        "kube-scheduler": [as_user("kube-scheduler"), "--leader-elect=false"],
        "kube-proxy": [
            as_user("kube-proxy"),
            f"--hostname-override={NODE}",
            "--proxy-mode=iptables",
            f"--cluster-cidr={node_config.PODS}",
            # What it would set for the whole machine.
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
            f"-kubeconfig={HERE}/kubeconfigs/admin",
            f"-name={node_config.PROVISIONER}",
            f"-root={HERE}/volumes",
        ],
    }


def _succeeds(own: Node, *command: str) -> bool:
    return subprocess.run(own.inside(*command), capture_output=True, check=False).returncode == 0


def _ready(cluster: LocalCluster) -> bool:
    wait = ("wait", f"node/{NODE}", "--for=condition=Ready", "--timeout=1s")
    return cluster.kubectl(*wait).returncode == 0
