"""Configuration section for Kubernetes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from devai_tasks.config.fields import LABEL, Pending, between, key, matching

# Valid names of Kubernetes objects (RFC 1123 subdomain).
NAME = r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?"


@dataclass(frozen=True, kw_only=True)
class Kubernetes:
    """How the lab runs in a cluster."""

    context: str = key(
        "kubectl context of the stack's cluster; tasks use no other context.",
        check=matching(r"[^\s]*", "a context, as `kubectl config get-contexts` shows them"),
        pending=Pending("tf.apply", "context.invalid"),
        tasks="the cluster that k8s.* works on",
    )
    overlay: str = key(
        "Folder in deploy/kubernetes/overlays that the stack's manifests are based on.",
        default="dev",
        check=matching(NAME, "a folder name, such as prod"),
    )
    requests: int = key(
        "Resource requests of a pod, in percent of its limits; the rest is shared with other pods on the node.",
        check=between(1, 100),
    )
    cpu_target: int = key(
        "CPU utilization, in percent of the pods' requests, above which the autoscaler adds a lab replica.",
        check=between(1, 1000),
    )
    scale_down: bool = key(
        "Whether the autoscaler removes lab replicas when the load decreases; kernels on a removed replica are lost."
    )
    image_loader: str = key(
        "How images are loaded into a local cluster: auto, which depends on the name of the context (kind, k3d, "
        "minikube, Docker Desktop), or a command that reads an image archive from standard input, such as `sudo ctr "
        "-n k8s.io images import -`.",
        default="auto",
        check=matching(r"[^\r\n]+", "auto, or a command"),
        tasks="how k8s.apply loads images into a local cluster",
    )
    gpu_nodes: Mapping[str, str] = key(
        "Node labels that select the nodes with GPUs for a GPU stack, as the cloud sets them.", check=LABEL
    )
    identity: str = key(
        "Cloud identity of the lab's pods: the client ID of a managed identity on Azure, the email address of a "
        "service account on Google Cloud. EKS needs none.",
        check=matching(r"[\w.:/@+=,-]*", "a client ID or the address of a service account"),
        pending=Pending("tf.apply", "identity.invalid"),
    )
    secret_store: str = key(
        "ClusterSecretStore of the External Secrets Operator that provides the lab's secrets; empty: `inv k8s.secrets` "
        "creates them.",
        default="",
        check=matching(f"({NAME})?", "the name of a ClusterSecretStore"),
    )
