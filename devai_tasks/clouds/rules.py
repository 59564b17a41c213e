"""Validation rules that several clouds share."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, collapse_addresses

from devai_tasks.config.fields import RFC_1918
from devai_tasks.config.rules import EVERYWHERE, Mistake
from devai_tasks.config.schema import Settings


def not_of_this_machine(settings: Settings) -> Iterator[Mistake]:
    """Yield settings that only a stack on this machine can have."""
    if settings.image.base.source == "debootstrap":
        yield Mistake(
            ("image", "base", "source"), "registry: only stacks on this machine can use a locally built base image"
        )
    if settings.ollama.source == "build":
        yield Mistake(("ollama", "source"), "registry: only stacks on this machine can use a locally built Ollama")
    if settings.ollama.mode == "host":
        yield Mistake(("ollama", "mode"), "container or external: host means Ollama on this machine")
    if settings.gpu.vendor == "amd":
        yield Mistake(("gpu", "vendor"), "nvidia: only Compose on this machine supports other vendors")
    if settings.vector_store.kind != "none":
        yield Mistake(("vector_store", "kind"), "none: only Compose on this machine has a vector store")
    in_cluster, replicas = settings.compute.platform == "kubernetes", settings.compute.replicas
    if in_cluster and replicas.max > 1 and settings.storage.access == "ReadWriteOnce":
        yield Mistake(("storage", "access"), "ReadWriteMany: lab replicas on several nodes share the home")


def protected_on_a_network(settings: Settings) -> Iterator[Mistake]:
    """Yield settings that expose a protected stack."""
    if not settings.protected:
        return
    if EVERYWHERE in collapse_addresses(map(IPv4Network, settings.network.allowed_cidrs)):
        yield Mistake(("network", "allowed_cidrs"), "your networks: a protected stack must not be open to all networks")
    if not settings.tls.enabled:
        yield Mistake(("tls", "enabled"), "true: a protected stack is served over HTTPS only")
    if settings.tls.enabled and not settings.ingress.host:
        yield Mistake(
            ("ingress", "host"), "a host name, such as lab.example.com: HTTPS of a protected stack requires one"
        )


def named_ingress(settings: Settings) -> Iterator[Mistake]:
    """Yield missing settings of an ingress whose class is configured, in a local or existing cluster."""
    if settings.compute.platform != "kubernetes" or not settings.ingress.class_name:
        return
    if not settings.ingress.host:
        yield Mistake(("ingress", "host"), "a host name: an ingress without one receives the requests for all hosts")
    if settings.tls.enabled and not settings.tls.certificate:
        yield Mistake(
            ("tls", "certificate"), "a secret in the stack's namespace with the certificate, or tls.enabled: false"
        )


def networks(settings: Settings) -> Iterator[Mistake]:
    """Yield private networks, from which no connection over the internet can come."""
    for cidr in settings.network.allowed_cidrs:
        # AWS rejects private networks ("Configure network access to cluster API server endpoint"), and so does Azure
        # ("Add-AzKeyVaultNetworkRule"); load balancers on the internet never receive requests from them.
        if any(IPv4Network(cidr).subnet_of(private) for private in RFC_1918):
            yield Mistake(
                ("network", "allowed_cidrs"),
                f"public networks: {cidr} is private, and cannot connect over the internet",
            )


def published(settings: Settings) -> Iterator[Mistake]:
    """Yield an address that would expose the lab's token and notebooks to a network without TLS."""
    exposed = not IPv4Address(settings.network.bind_address).is_loopback
    if exposed and not (settings.tls.local or settings.tls.proxy):
        yield Mistake(
            ("network", "bind_address"),
            "127.0.0.1, or tls.local: true for HTTPS, or tls.proxy: true if your own proxy terminates TLS",
        )
