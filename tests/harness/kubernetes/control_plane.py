"""The command lines of etcd and kube-apiserver, and their certificates."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.kubernetes.certificates import Authority

SERVICE_ADDRESSES = "10.96.0.0/16"
API_SERVICE = "10.96.0.1"
"""The first service address, of the service `kubernetes`, which pods use to reach the API server."""
FRONT_PROXY = "front-proxy-client"
"""The API server as a client of the servers that provide other APIs."""
NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")


@dataclass(frozen=True)
class ControlPlane:
    """The files and ports of an API server and its etcd."""

    folder: Path
    authority: Authority
    etcd_port: int
    peer_port: int
    port: int

    def issue(self, addresses: Iterable[str]) -> None:
        """Issue certificates for the API server, which clients reach at these addresses, and the administrator."""
        names = (*(f"DNS:{name}" for name in NAMES), "DNS:localhost", f"IP:{API_SERVICE}")
        self.authority.issue(
            "kube-apiserver",
            user="kube-apiserver",
            group="system:masters",  # as a client: of kubelets
            addresses=(*names, *(f"IP:{address}" for address in addresses)),
        )
        self.authority.issue("admin", user="admin", group="system:masters")
        self.authority.issue(FRONT_PROXY, user=FRONT_PROXY)
        key = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", str(self.account_key)]
        subprocess.run(["openssl", "genpkey", *key], check=True, capture_output=True)

    @property
    def account_key(self) -> Path:
        """The key that signs the tokens of service accounts."""
        return self.authority.key("service-accounts")

    def etcd(self, programs: Path) -> list[str]:
        """Return the command line of etcd: on loopback, without fsync for speed."""
        client = f"http://127.0.0.1:{self.etcd_port}"
        peer = f"http://127.0.0.1:{self.peer_port}"
        return [
            str(programs / "etcd"),
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ]

    def apiserver(self, programs: Path, *, listen: str) -> list[str]:
        """Return the command line of kube-apiserver, with the default admission plugins and NodeRestriction."""
        certificate, key = self.authority.certificate("kube-apiserver"), self.authority.key("kube-apiserver")
        return [
            str(programs / "kube-apiserver"),
            f"--etcd-servers=http://127.0.0.1:{self.etcd_port}",
            f"--bind-address={listen}",
            f"--secure-port={self.port}",
            f"--tls-cert-file={certificate}",
            f"--tls-private-key-file={key}",
            f"--client-ca-file={self.authority.ca}",
            f"--kubelet-client-certificate={certificate}",
            f"--kubelet-client-key={key}",
            f"--kubelet-certificate-authority={self.authority.ca}",
            "--kubelet-preferred-address-types=InternalIP",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={self.account_key}",
            f"--service-account-signing-key-file={self.account_key}",
            f"--service-cluster-ip-range={SERVICE_ADDRESSES}",
            *self._aggregation(),
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
        ]

    def _aggregation(self) -> list[str]:
        """Return the flags for requests that the API server forwards to other servers.

        https://kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer/
        """
        return [
            f"--proxy-client-cert-file={self.authority.certificate(FRONT_PROXY)}",
            f"--proxy-client-key-file={self.authority.key(FRONT_PROXY)}",
            f"--requestheader-client-ca-file={self.authority.ca}",
            f"--requestheader-allowed-names={FRONT_PROXY}",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-username-headers=X-Remote-User",
        ]
