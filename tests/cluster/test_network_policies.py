"""The network policies of every kind of stack, enforced in a cluster: what each one allows and what it refuses.

Programs that only listen and connect replace the containers of a stack. A network outside of the cluster has the
addresses that policies name. All connections are possible before the policies are applied.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.kubernetes.api import Cluster
from harness.kubernetes.cluster import LocalCluster
from harness.kubernetes.node import ADDRESS
from harness.manifests import Variant, build
from harness.network import Connection, Network, outside
from harness.project import fresh

NAME = "app.kubernetes.io/name"
PODS = {"lab": {NAME: "devai"}, "ollama": {NAME: "ollama"}, "models": {NAME: "models"}, "other": {"app": "other"}}
DNS_PODS = {"kube-dns": {"k8s-app": "kube-dns"}, "node-local-dns": {"k8s-app": "node-local-dns"}}
INGRESS = "policies-ingress"
ELSEWHERE = "policies-elsewhere"
OPTIONS = (
    "project.name=policies",
    "network.egress_cidrs=[10.20.0.0/16]",
    "ingress.class_name=custom",
    "tls.certificate=lab-tls",
    f"ingress.controller={INGRESS}",
)
VARIANTS = {
    "local": Variant("local", "dev", overrides=OPTIONS),
    "aws": Variant("aws", "dev", overrides=OPTIONS[:1]),
    "azure": Variant("azure", "dev", overrides=OPTIONS[:1]),
    "gcp": Variant("gcp", "dev", overrides=OPTIONS[:1]),
}
INTERNET = "203.0.113.7"
PRIVATE = ("10.21.0.7", "100.64.0.7", "172.16.0.7", "192.168.0.7", "198.18.0.7", "168.63.129.16", "169.254.169.254")


def connections() -> dict[str, list[Connection]]:
    """Return the connections for each variant."""

    def dns(policy: str, *targets: str) -> list[Connection]:
        return [
            Connection(policy, "other", f"{target}:53", allowed=True, protocol=protocol)
            for target, protocol in itertools.product(targets, ("tcp", "udp"))
        ]

    def from_balancer(address: str) -> list[Connection]:
        return [
            Connection("lab-from-ingress", address, "lab:8888", allowed=True),
            Connection("lab-from-ingress", address, "lab:8080", allowed=False),
            Connection("lab-from-ingress", INTERNET, "lab:8888", allowed=False),
        ]

    local = [
        Connection("default-deny", "other", f"{INTERNET}:443", allowed=False),
        Connection("default-deny", "other", "lab:8888", allowed=False),
        Connection("default-deny", "elsewhere", "other:8080", allowed=False),
        Connection("default-deny", INTERNET, "models:8080", allowed=False),
        *dns("dns", *DNS_PODS, "169.254.25.10"),
        Connection("dns", "other", "kube-dns:8080", allowed=False),
        Connection("dns", "other", "elsewhere:53", allowed=False),
        Connection("dns", "other", "169.254.169.254:53", allowed=False, protocol="udp"),
        Connection("lab-to-ollama", "lab", "ollama:11434", allowed=True),
        Connection("ollama-from-lab", "models", "ollama:11434", allowed=True),
        Connection("lab-to-ollama", "lab", "models:11434", allowed=False),
        Connection("ollama-from-lab", "other", "ollama:11434", allowed=False),
        Connection("ollama-from-lab", "elsewhere", "ollama:11434", allowed=False),
        Connection("ollama-from-lab", "lab", "ollama:8080", allowed=False),
        Connection("internet", "lab", f"{INTERNET}:443", allowed=True),
        Connection("internet", "ollama", f"{INTERNET}:443", allowed=True),
        Connection("internet", "models", f"{INTERNET}:443", allowed=False),
        *(Connection("internet", "lab", f"{address}:80", allowed=False) for address in PRIVATE),
        Connection("internet", "lab", f"{ADDRESS}:6443", allowed=False),  # the API server
        Connection("internet", "lab", "elsewhere:8080", allowed=False),
        Connection("own-networks", "lab", "10.20.0.7:443", allowed=True),
        Connection("own-networks", "ollama", "10.20.0.7:443", allowed=True),
        Connection("own-networks", "models", "10.20.0.7:443", allowed=False),
        Connection("lab-from-ingress", "controller", "lab:8888", allowed=True),
        Connection("lab-from-ingress", "controller", "lab:8080", allowed=False),
        Connection("lab-from-ingress", "controller", "ollama:11434", allowed=False),
        Connection("lab-from-ingress", "elsewhere", "lab:8888", allowed=False),
    ]
    aws = [
        *dns("dns-aws", "172.20.0.10", "10.100.0.10"),
        Connection("dns-aws", "other", "172.20.0.10:80", allowed=False),
        Connection("identity", "lab", "169.254.170.23:80", allowed=True),
        Connection("identity", "lab", "169.254.170.23:443", allowed=False),
        Connection("identity", "ollama", "169.254.170.23:80", allowed=False),
    ]
    gcp = [
        *dns("dns-gcp", "169.254.169.254"),
        Connection("dns-gcp", "other", "169.254.169.254:443", allowed=False),
        Connection("identity", "lab", "169.254.169.254:80", allowed=True),
        Connection("identity", "lab", "169.254.169.252:988", allowed=True),
        Connection("identity", "lab", "169.254.169.252:80", allowed=False),
        Connection("identity", "ollama", "169.254.169.254:80", allowed=False),
    ]
    return {
        "local": local,
        "aws": [*aws, *from_balancer("10.42.240.7")],
        "azure": from_balancer("10.42.240.7"),
        "gcp": [*gcp, *from_balancer("35.191.0.7")],
    }


CONNECTIONS = connections()


@pytest.fixture(scope="module")
def surroundings(cluster: Cluster, pod_image: str) -> Iterator[Network]:
    """Pods outside of the stacks, and the network outside of the cluster."""
    if not isinstance(cluster, LocalCluster):
        pytest.skip("an existing cluster may not enforce policies, and its nodes are not changed")
    hosts = (attempt.target.rpartition(":")[0] for attempt in itertools.chain(*CONNECTIONS.values()))
    sources = (attempt.source for attempt in itertools.chain(*CONNECTIONS.values()))
    addresses = {name for name in (*hosts, *sources) if name[0].isdigit()} - {ADDRESS}
    network = Network(cluster, pod_image)
    with outside(cluster.node, sorted(addresses)):
        for namespace in (INGRESS, ELSEWHERE):
            network.create(namespace)
        network.start("kube-system", DNS_PODS)
        network.start(INGRESS, {"controller": {}})
        network.start(ELSEWHERE, {"elsewhere": {}})
        try:
            yield network
        finally:
            network.remove()


@pytest.fixture(scope="module")
def possible(surroundings: Network, tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[Connection]]:
    """The connections of each variant that are possible with its policies, after all were possible without."""
    lab = fresh(tmp_path_factory.mktemp("policies") / "lab")
    stacks = {name: build(lab, variant) for name, variant in VARIANTS.items()}
    networks = {name: surroundings.extended() for name in stacks}
    for name, stack in stacks.items():
        networks[name].create(stack.namespace)
        networks[name].start(stack.namespace, PODS)
    try:
        for name, network in networks.items():
            network.wait()
            assert network.possible(CONNECTIONS[name]) == set(CONNECTIONS[name])
        policies = [policy for stack in stacks.values() for policy in stack.of("NetworkPolicy").values()]
        applied = surroundings.cluster.apply(*map(dict, policies))
        assert applied.returncode == 0, applied.stderr
        return {name: settled(network, CONNECTIONS[name]) for name, network in networks.items()}
    finally:
        for network in networks.values():
            network.remove()


def settled(network: Network, attempts: list[Connection], *, seconds: float = 60) -> set[Connection]:
    """Return the possible connections once they are the expected ones, or else after a minute."""
    expected, deadline = {attempt for attempt in attempts if attempt.allowed}, time.monotonic() + seconds
    while (result := network.possible(attempts)) != expected and time.monotonic() < deadline:
        time.sleep(0.5)
    return result


@pytest.mark.parametrize(
    ("variant", "attempt"),
    [(name, attempt) for name, attempts in CONNECTIONS.items() for attempt in attempts],
    ids=str,
)
def test_policy_allows_and_refuses(possible: dict[str, set[Connection]], variant: str, attempt: Connection) -> None:
    assert (attempt in possible[variant]) == attempt.allowed


def test_every_policy_is_tested_in_both_directions(tmp_path: Path) -> None:
    """The exception is default-deny, which allows nothing."""
    lab = fresh(tmp_path / "lab")
    for name, variant in VARIANTS.items():
        policies = set(build(lab, variant).of("NetworkPolicy"))
        attempts = [*CONNECTIONS["local"], *CONNECTIONS[name]]
        for allowed in (True, False):
            tested = {attempt.policy for attempt in attempts if attempt.allowed == allowed}
            assert policies - tested == ({"default-deny"} if allowed else set()), name
