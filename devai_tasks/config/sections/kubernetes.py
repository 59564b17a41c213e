"""The section about what is particular to Kubernetes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from devai_tasks.config.fields import LABEL, Pending, between, key, matching

# What an object of Kubernetes may be called (RFC 1123 subdomain).
NAME = r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?"


@dataclass(frozen=True, kw_only=True)
class Kubernetes:
    """How the lab runs in a cluster."""

    context: str = key(
        "The kubectl context of the stack's cluster; tasks work on no other.",
        check=matching(r"[^\s]*", "a context, as `kubectl config get-contexts` shows them"),
        pending=Pending("tf.apply", "context.invalid"),
        tasks="the cluster that k8s.* works on",
    )
    overlay: str = key(
        "The folder of deploy/kubernetes/overlays that the stack is built on.",
        default="dev",
        check=matching(NAME, "the name of a folder, such as prod"),
    )
    requests: int = key(
        "What a pod has for itself, in percent of its limits; the rest it shares with others on its node.",
        check=between(1, 100),
    )
    cpu_target: int = key(
        "Use of the CPU that asks for another lab, in percent of what the pods have for themselves.",
        check=between(1, 1000),
    )
    scale_down: bool = key("Whether labs go again when there is less to do; with a lab go the kernels in its memory.")
    image_loader: str = key(
        "How an image gets into a local cluster: auto, by what the context is called (kind, k3d, minikube, Docker "
        "Desktop); or a command that reads an archive, such as `sudo ctr -n k8s.io images import -`.",
        default="auto",
        check=matching(r"[^\r\n]+", "auto, or a command"),
        tasks="how k8s.apply brings images to a local cluster",
    )
    gpu_nodes: Mapping[str, str] = key(
        "Labels of the nodes with GPUs that a GPU stack wants, as its cloud writes them.", check=LABEL
    )
    identity: str = key(
        "Who the lab is to its cloud: a managed identity's client id, a service account's address; EKS knows itself.",
        check=matching(r"[\w.:/@+=,-]*", "a client id or an address of a service account"),
        pending=Pending("tf.apply", "identity.invalid"),
    )
    secret_store: str = key(
        "A ClusterSecretStore of the External Secrets Operator that the lab's secrets come from; empty: k8s.secrets.",
        default="",
        check=matching(f"({NAME})?", "the name of a ClusterSecretStore"),
    )
