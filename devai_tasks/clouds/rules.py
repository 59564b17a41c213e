"""Rules that several clouds share."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, collapse_addresses

from devai_tasks.config.fields import RFC_1918
from devai_tasks.config.rules import EVERYWHERE, Mistake
from devai_tasks.config.schema import Settings


def not_of_this_machine(settings: Settings) -> Iterator[Mistake]:
    """Yield what only a stack of this machine can have."""
    if settings.image.base.source == "debootstrap":
        yield Mistake(("image", "base", "source"), "registry: only stacks of this machine run on a base made here")
    if settings.ollama.source == "build":
        yield Mistake(("ollama", "source"), "registry: only stacks of this machine run an Ollama built here")
    if settings.ollama.mode == "host":
        yield Mistake(("ollama", "mode"), "container or external: host is the one on this machine")
    if settings.gpu.vendor == "amd":
        yield Mistake(("gpu", "vendor"), "nvidia: only Compose on this machine takes others")
    if settings.vector_store.kind != "none":
        yield Mistake(("vector_store", "kind"), "none: only Compose on this machine has one")
    in_cluster, replicas = settings.compute.platform == "kubernetes", settings.compute.replicas
    if in_cluster and replicas.max > 1 and settings.storage.access == "ReadWriteOnce":
        yield Mistake(("storage", "access"), "ReadWriteMany: several labs share the home, and on several nodes")


def protected_on_a_network(settings: Settings) -> Iterator[Mistake]:
    """Yield how a protected stack would be open to others."""
    if not settings.protected:
        return
    if EVERYWHERE in collapse_addresses(map(IPv4Network, settings.network.allowed_cidrs)):
        yield Mistake(("network", "allowed_cidrs"), "a protected stack is not open to every network: name yours")
    if not settings.tls.enabled:
        yield Mistake(("tls", "enabled"), "true: a protected stack is reached by HTTPS only")
    if settings.tls.enabled and not settings.ingress.host:
        yield Mistake(("ingress", "host"), "a host name: HTTPS of a protected stack needs one, such as lab.example.com")


def named_ingress(settings: Settings) -> Iterator[Mistake]:
    """Yield what an ingress lacks whose class the configuration names, in a cluster that no cloud has set up."""
    if settings.compute.platform != "kubernetes" or not settings.ingress.class_name:
        return
    if not settings.ingress.host:
        yield Mistake(("ingress", "host"), "a host name: an ingress without one takes the requests of everybody")
    if settings.tls.enabled and not settings.tls.certificate:
        yield Mistake(("tls", "certificate"), "a secret of the namespace with the certificate, or tls.enabled: false")


def networks(settings: Settings) -> Iterator[Mistake]:
    """Yield networks that nobody comes from over the internet."""
    for cidr in settings.network.allowed_cidrs:
        # AWS, "Configure network access to cluster API server endpoint", takes none of them, nor does Azure,
        # "Add-AzKeyVaultNetworkRule"; and load balancers on the internet never see one.
        if any(IPv4Network(cidr).subnet_of(private) for private in RFC_1918):
            yield Mistake(
                ("network", "allowed_cidrs"), f"networks of the internet: nobody comes from {cidr}, a private one"
            )


def published(settings: Settings) -> Iterator[Mistake]:
    """Yield an address that the lab would be published on without TLS: its token and all that a notebook shows."""
    beyond = not IPv4Address(settings.network.bind_address).is_loopback
    if beyond and not (settings.tls.local or settings.tls.proxy):
        yield Mistake(
            ("network", "bind_address"),
            "127.0.0.1, or tls.local: true for HTTPS; tls.proxy: true where a proxy of yours terminates TLS",
        )
