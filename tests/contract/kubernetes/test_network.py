"""Connections that the NetworkPolicies of every stack variant allow."""

from __future__ import annotations

import itertools

from harness import hcl
from harness.manifests import Manifests, Variant, build
from harness.reachability import Endpoint, may_connect

from devai_tasks.config.project import Project

METADATA = {"gcp": "169.254.169.254", "aws": "169.254.170.23"}
# Addresses of DNS caches on nodes: NodeLocal DNSCache, Kubespray's, and LocalDNS of AKS.
CACHES = ("169.254.20.10", "169.254.25.10", "169.254.10.10", "169.254.10.11")
# Addresses outside the internet: of nodes and other machines, of carriers, of a service, of a cluster's API server.
PRIVATE = ("10.42.0.200", "172.16.0.2", "172.20.0.1", "192.168.1.1", "100.64.0.1", "127.0.0.1", "198.18.0.1")
INTERNET = Endpoint(address="93.184.215.14")
PORTS = {"lab": 8888, "ollama": 11434}


def clients(stack: Manifests) -> dict[str, Endpoint]:
    """Return all possible clients of the stack; pods may have addresses in the cloud's network."""
    namespace, provider = stack.namespace, stack.settings.compute.provider
    balancer = str(hcl.load_balancers(provider)[-1][7]) if provider in hcl.CLOUDS else "10.42.240.7"
    pods = {
        {"devai": "lab"}.get(name, name.partition("-")[0]): Endpoint(
            template["metadata"]["labels"], namespace, "10.42.0.1"
        )
        for name, template in stack.pods.items()
    }
    return {
        **pods,
        "other pod": Endpoint({"app": "other"}, namespace, "10.42.0.2"),
        "another stack's lab": Endpoint({"app.kubernetes.io/name": "devai"}, "devai-other", "10.42.0.3"),
        "ingress controller": Endpoint({"app": "controller"}, "ingress", "10.42.0.4"),
        "load balancer": Endpoint(address=balancer),
        "internet": INTERNET,
    }


def allowed(stack: Manifests) -> set[tuple[str, str]]:
    """Return all pairs of a client and a target whose port the client can connect to."""
    policies = list(stack.of("NetworkPolicy").values())
    sources = clients(stack)
    outside = {
        "dns": (Endpoint({"k8s-app": "kube-dns"}, "kube-system", "10.8.0.10"), 53),
        "dns cache": (Endpoint({"k8s-app": "node-local-dns"}, "kube-system", "10.0.0.10"), 53),
        **{address: (Endpoint(address=address), 53) for address in CACHES},
        "metadata's dns": (Endpoint(address="169.254.169.254"), 53),
        "internet": (INTERNET, 443),
        "metadata": (Endpoint(address="169.254.169.254"), 80),
        "identity": (Endpoint(address=METADATA.get(stack.settings.compute.provider, "169.254.169.250")), 80),
        "wire server": (Endpoint(address="168.63.129.16"), 80),
        **{f"private {address}": (Endpoint(address=address), 443) for address in PRIVATE},
    }
    targets = {**{name: (sources[name], PORTS[name]) for name in PORTS if name in sources}, **outside}
    return {
        (source, target)
        for (source, client), (target, (server, port)) in itertools.product(sources.items(), targets.items())
        if source != target and may_connect(policies, client, server, port)
    }


def intended(stack: Manifests) -> set[tuple[str, str]]:
    """Return the pairs that should be allowed."""
    provider, bundled_ollama = stack.settings.compute.provider, stack.settings.ollama.mode == "container"
    resolvers = {"dns", "dns cache", *CACHES, *(["metadata's dns"] if provider == "gcp" else [])}  # Cloud DNS for GKE
    pods = {"lab", "other pod", *(["ollama"] if bundled_ollama else []), *(["models"] if stack.of("Job") else [])}
    pairs = {*itertools.product(pods, resolvers), ("lab", "internet")}
    if bundled_ollama:
        pairs |= {("lab", "ollama"), ("ollama", "internet")}
    if stack.of("Job"):
        pairs.add(("models", "ollama"))
    if provider in ("aws", "azure", "gcp"):
        pairs.add(("load balancer", "lab"))
    if provider in METADATA:
        pairs.add(("lab", "identity"))
    if provider == "gcp":  # one address serves identity and metadata
        pairs.add(("lab", "metadata"))
    if stack.settings.ingress.controller:
        pairs.add(("ingress controller", "lab"))
    # The policies do not apply to clients outside the namespace.
    external = {"another stack's lab", "ingress controller", "load balancer", "internet"}
    outside = {"dns", "dns cache", *CACHES, "metadata's dns", "internet", "metadata", "identity", "wire server"}
    outside |= {f"private {address}" for address in PRIVATE}
    return pairs | {(source, target) for source in external for target in outside if source != target}


def test_allowed_connections_match_intended_connections(stack: Manifests) -> None:
    assert allowed(stack) == intended(stack)


def test_configured_egress_is_open_to_lab_and_ollama_only(lab: Project) -> None:
    stack = build(lab, Variant("local", "dev", overrides=("network.egress_cidrs=[10.9.0.0/16, 192.168.1.7/32]",)))
    policies, pods = list(stack.of("NetworkPolicy").values()), clients(stack)

    def connects(name: str) -> list[bool]:
        addresses = ("10.9.8.7", "192.168.1.7", "192.168.1.8", "169.254.169.254")
        return [may_connect(policies, pods[name], Endpoint(address=address), 3128) for address in addresses]

    assert connects("lab") == connects("ollama") == [True, True, False, False]
    assert connects("other pod") == [False] * 4


def test_unknown_pod_is_isolated(stack: Manifests) -> None:
    policies = list(stack.of("NetworkPolicy").values())
    unknown = Endpoint({"anything": "else"}, stack.namespace, "10.42.0.9")
    assert not may_connect(policies, unknown, INTERNET, 443)
    assert not may_connect(policies, INTERNET, unknown, 80)
