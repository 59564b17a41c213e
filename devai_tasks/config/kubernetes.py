"""What must hold between keys of a stack in a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from devai_tasks.config.fields import RFC_1918
from devai_tasks.config.targets import TFVARS

if TYPE_CHECKING:
    from devai_tasks.config.schema import Settings

# By these the manifests find the pods that they are about.
OWN_LABELS = {"app.kubernetes.io/name", "app.kubernetes.io/managed-by", "devai.io/project-id", "devai.io/stack"}
# An object's name, which namespaces and labels limit to 63 characters, with what is added to the stack's.
LONGEST_STACK = 55
# With that of RFC 6598; deploy/kubernetes/base/network-policies.yaml has all that is closed.
_PRIVATE = (*RFC_1918, IPv4Network("100.64.0.0/10"))


def rules(settings: Settings) -> Iterator[tuple[tuple[str, ...], str]]:
    """Everything that is wrong between the keys of a stack in a cluster."""
    if settings.compute.provider == "none":
        yield from _own_cluster(settings)
    if settings.compute.platform == "kubernetes":
        yield from _manifests(settings)


def _private_ollama(settings: Settings) -> str:
    """The address of an Ollama elsewhere that the lab's policies keep it from; empty for none, and for a name."""
    url, networks = settings.ollama.url, map(IPv4Network, settings.network.egress_cidrs)
    try:
        address = IPv4Address(urlsplit(url).hostname or "")
    except ValueError:
        return ""
    # On this machine, manifests are beside Compose, whose labs may connect anywhere.
    concerned = settings.ollama.mode == "external" and settings.compute.provider != "local"
    private = concerned and any(address in network for network in _PRIVATE)
    return "" if not private or any(address in network for network in networks) else str(address)


def _own_cluster(settings: Settings) -> Iterator[tuple[tuple[str, ...], str]]:
    """Nobody but a person knows such a cluster."""
    if settings.compute.platform != "kubernetes":
        yield ("compute", "platform"), "kubernetes: compute.provider is none, which is a cluster of your own"
    elif not settings.kubernetes.context:
        yield ("kubernetes", "context"), "the cluster's context, as `kubectl config get-contexts` shows it"


def _manifests(settings: Settings) -> Iterator[tuple[tuple[str, ...], str]]:
    name = f"{settings.project.name}-{settings.stack}"
    if len(name) > LONGEST_STACK:
        yield ("project", "name"), f"shorter: {name} has more than {LONGEST_STACK} characters, too many for a namespace"
    for label in sorted(OWN_LABELS & set(settings.labels)):
        yield ("labels", label), f"{label} is set by the manifests themselves"
    provider, storage = settings.compute.provider, settings.storage
    if provider in TFVARS and not (settings.network.load_balancers or settings.ingress.controller):
        yield ("network", "load_balancers"), "the networks of the load balancer: without one, its requests reach no lab"
    if private := _private_ollama(settings):
        yield ("network", "egress_cidrs"), f"a network with {private}, which is not on the public internet: ollama.url"
    if provider == "gcp" and settings.ingress.class_name:
        yield ("ingress", "class_name"), "empty: GKE's own controller looks at no class"
    if provider != "local" and settings.compute.replicas.max > 1 and storage.access == "ReadWriteOnce":
        yield ("storage", "access"), "ReadWriteMany: several labs share the home, and on several nodes"
    if provider not in TFVARS and settings.ingress.class_name:
        if not settings.ingress.host:
            yield ("ingress", "host"), "a host name: an ingress without one takes the requests of everybody"
        if settings.tls.enabled and not settings.tls.certificate:
            yield ("tls", "certificate"), "a secret of the namespace with the certificate, or tls.enabled: false"
