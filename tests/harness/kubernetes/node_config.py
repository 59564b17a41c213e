"""The configuration of a node's components: containerd, its network plugins, the kubelet, the DNS server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.kubernetes import addons
from harness.kubernetes.node import DNS

PODS = "10.244.0.0/24"
DOMAIN = "cluster.local"
PAUSE_IMAGE = "devai.invalid/pause:node"
STORAGE_CLASS = "node"
PROVISIONER = "devai.invalid/node"

# Folders and sockets have containerd's defaults, as these paths are private in a node. Format version 2 is for
# containerd 1.6; containerd 2.x converts it.
CONTAINERD = f"""\
version = 2

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE_IMAGE}"
restrict_oom_score_adj = true # without CAP_SYS_RESOURCE, as in a container, runc fails for pods of high priority

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/run/programs"
conf_dir = "/run/node/network"
"""

NETWORK: dict[str, Any] = {
    "cniVersion": "1.0.0",
    "name": "pods",
    "plugins": [
        {
            # A veth pair for each pod: traffic between pods passes the rules for services, also if the kernel has no
            # br_netfilter, which a bridge would need.
            "type": "ptp",
            "ipam": {"type": "host-local", "ranges": [[{"subnet": PODS}]], "routes": [{"dst": "0.0.0.0/0"}]},
        }
    ],
}

COREFILE = f"""\
.:53 {{
    bind {DNS}
    errors
    kubernetes {DOMAIN} in-addr.arpa ip6.arpa {{
        kubeconfig /run/node/kubeconfigs/admin
    }}
    loadbalance
}}
"""


def kubelet(cgroup: str) -> dict[str, Any]:
    """Return the kubelet's configuration (kubelet.config.k8s.io/v1beta1), with a parent cgroup for the pods."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {"x509": {"clientCAFile": "/run/node/pki/ca.crt"}},
        "tlsCertFile": "/run/node/pki/node.crt",
        "tlsPrivateKeyFile": "/run/node/pki/node.key",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDNS": [DNS],
        "clusterDomain": DOMAIN,
        "resolvConf": "",  # the node cannot reach the machine's DNS servers
        # The disk is the machine's. The node must not remove images when it fills up: images cannot be pulled again.
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        # The kubelet must not pull an image again by a second name either.
        "imagePullCredentialsVerificationPolicy": "NeverVerify",
    }


def objects() -> list[dict[str, Any]]:
    """Return the objects to create: a storage class whose volumes are folders of the node, and those of add-ons."""
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    return [
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": STORAGE_CLASS, "annotations": default},
            "provisioner": PROVISIONER,
            "reclaimPolicy": "Delete",
            "volumeBindingMode": "Immediate",
        },
        *addons.objects(),
    ]


def write(folder: Path, cgroup: str) -> None:
    """Write all configuration files into a node's folder."""
    files: Mapping[str, str] = {
        "containerd.toml": CONTAINERD,
        "network/pods.conflist": json.dumps(NETWORK, indent=2),
        "Corefile": COREFILE,
        "kubelet.json": json.dumps(kubelet(cgroup), indent=2),
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "volumes").mkdir()
