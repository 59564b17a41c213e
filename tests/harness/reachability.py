"""Allowed connections by the rules of NetworkPolicy (networking.k8s.io/v1), computed without a cluster.

The policies that select the source (egress) and the policies that select the target (ingress) must allow a connection.
Without a policy that selects a pod, all of the pod's connections in that direction are allowed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Endpoint:
    """An endpoint of a connection: a pod, or an address outside the cluster."""

    labels: Mapping[str, str] = field(default_factory=dict)
    namespace: str = ""
    address: str = ""

    @property
    def is_pod(self) -> bool:
        """Whether the endpoint is a pod."""
        return bool(self.namespace)


def may_connect(policies: Sequence[Object], source: Endpoint, target: Endpoint, port: int) -> bool:
    """Whether the policies allow a TCP connection."""
    return _allowed(policies, "Egress", (source, target), port) and _allowed(
        policies, "Ingress", (target, source), port
    )


def _allowed(policies: Sequence[Object], direction: str, endpoints: tuple[Endpoint, Endpoint], port: int) -> bool:
    """Whether the policies that select the first endpoint allow a connection with the second."""
    selected, peer_endpoint = endpoints
    selecting = [
        policy for policy in policies if _selects(policy, selected) and direction in policy["spec"]["policyTypes"]
    ]
    if not selecting:
        return True
    rules, peers = direction.lower(), "to" if direction == "Egress" else "from"
    return any(
        _port_matches(rule, port)
        and (peers not in rule or any(_peer_matches(peer, policy, peer_endpoint) for peer in rule[peers]))
        for policy in selecting
        for rule in policy["spec"].get(rules, ())
    )


def _selects(policy: Object, pod: Endpoint) -> bool:
    return pod.namespace == policy["metadata"]["namespace"] and matches(policy["spec"]["podSelector"], pod.labels)


def _port_matches(rule: Object, port: int) -> bool:
    ports = rule.get("ports")
    return not ports or any(entry["port"] == port and entry.get("protocol", "TCP") == "TCP" for entry in ports)


def _peer_matches(peer: Object, policy: Object, endpoint: Endpoint) -> bool:
    if block := peer.get("ipBlock"):
        # The block also matches pods with an address in the block: the stricter interpretation.
        address = ip_address(endpoint.address)
        within = address in ip_network(block["cidr"])
        return within and not any(address in ip_network(excluded) for excluded in block.get("except", ()))
    if not endpoint.is_pod:
        return False
    if selector := peer.get("namespaceSelector"):
        if not matches(selector, {"kubernetes.io/metadata.name": endpoint.namespace}):
            return False
    elif endpoint.namespace != policy["metadata"]["namespace"]:
        return False
    return matches(peer.get("podSelector", {}), endpoint.labels)


def matches(selector: Object, labels: Mapping[str, str]) -> bool:
    """Whether a label selector matches labels."""
    equal = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    return equal and all(_expression_matches(part, labels) for part in selector.get("matchExpressions", ()))


def _expression_matches(part: Object, labels: Mapping[str, str]) -> bool:
    value = labels.get(part["key"])
    match part["operator"]:
        case "In":
            return value in part["values"]
        case "NotIn":
            return value not in part["values"]
        case "Exists":
            return value is not None
        case _:
            return value is None
