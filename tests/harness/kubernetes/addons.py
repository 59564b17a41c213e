"""Add-ons of a cluster, which run as processes of its node.

kube-router's firewall enforces network policies with iptables and ipset; kube-proxy keeps handling services. The
metrics server provides the CPU use of pods to autoscalers, through the API server.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.kubernetes.control_plane import SERVICE_ADDRESSES
from harness.kubernetes.node import ADDRESS
from harness.kubernetes.releases import KUBE_ROUTER, METRICS_SERVER

METRICS_API = "v1beta1.metrics.k8s.io"
METRICS_PORT = 4443
_METRICS = {"name": "metrics-server", "namespace": "kube-system"}


def build() -> None:
    """Build the programs if needed; raise go.BuildError."""
    KUBE_ROUTER.programs()
    METRICS_SERVER.programs()


def kube_router(kubeconfig: Path, node: str) -> list[str]:
    """Return the command line of kube-router, as a firewall only.

    Options: https://www.kube-router.io/docs/user-guide/.
    """
    return [
        str(KUBE_ROUTER.programs() / "kube-router"),
        f"--kubeconfig={kubeconfig}",
        f"--hostname-override={node}",
        "--run-firewall=true",
        *("--run-router=false", "--run-service-proxy=false", "--run-loadbalancer=false"),
        f"--service-cluster-ip-range={SERVICE_ADDRESSES}",
        "--enable-ipv6=false",
        "--v=1",  # logs each update of the rules
    ]


def metrics_server(kubeconfig: Path, authority: Path, folder: Path) -> list[str]:
    """Return the command line of the metrics server, which keeps its certificate in a folder."""
    users = [f"--{use}={kubeconfig}" for use in ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")]
    return [
        str(METRICS_SERVER.programs() / "metrics-server"),
        *users,
        f"--secure-port={METRICS_PORT}",
        f"--cert-dir={folder}",
        f"--kubelet-certificate-authority={authority}",
        "--kubelet-preferred-address-types=InternalIP",
        "--kubelet-use-node-status-port",
        "--metric-resolution=10s",  # the minimum
        "--kubelet-request-timeout=5s",  # must be less than the resolution
    ]


def objects() -> list[dict[str, Any]]:
    """Return the objects that let the API server forward requests for metrics to the node's metrics server."""
    port = {"name": "https", "port": METRICS_PORT, "protocol": "TCP"}
    labels = {"kubernetes.io/service-name": _METRICS["name"]}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": _METRICS,
            "spec": {"ports": [{**port, "port": 443, "targetPort": METRICS_PORT}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**_METRICS, "labels": labels},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [ADDRESS], "conditions": {"ready": True}}],
            "ports": [port],
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": METRICS_API},
            "spec": {
                "group": "metrics.k8s.io",
                "version": "v1beta1",
                "service": _METRICS,
                "insecureSkipTLSVerify": True,  # the metrics server generates its certificate
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
            },
        },
    ]
