"""Who may talk to whom, by the rules of NetworkPolicy (networking.k8s.io/v1), computed and not tried.

A connection needs the leave of the policies that select its source (egress) and of those that select its target
(ingress); pods that no policy of that direction selects have it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Endpoint:
    """One end of a connection: a pod, or an address outside of the cluster."""

    labels: Mapping[str, str] = field(default_factory=dict)
    namespace: str = ""
    address: str = ""

    @property
    def is_pod(self) -> bool:
        """Whether it is a pod."""
        return bool(self.namespace)


def may_connect(policies: Sequence[Object], source: Endpoint, target: Endpoint, port: int) -> bool:
    """Whether a TCP connection comes about."""
    return _leave(policies, "Egress", (source, target), port) and _leave(policies, "Ingress", (target, source), port)


def _leave(policies: Sequence[Object], direction: str, ends: tuple[Endpoint, Endpoint], port: int) -> bool:
    """Whether the policies of the first end let a connection with the other pass."""
    own, other = ends
    selecting = [policy for policy in policies if _selects(policy, own) and direction in policy["spec"]["policyTypes"]]
    if not selecting:
        return True
    rules, peers = direction.lower(), "to" if direction == "Egress" else "from"
    return any(
        _port_matches(rule, port)
        and (peers not in rule or any(_peer_matches(peer, policy, other) for peer in rule[peers]))
        for policy in selecting
        for rule in policy["spec"].get(rules, ())
    )


def _selects(policy: Object, pod: Endpoint) -> bool:
    return pod.namespace == policy["metadata"]["namespace"] and matches(policy["spec"]["podSelector"], pod.labels)


def _port_matches(rule: Object, port: int) -> bool:
    ports = rule.get("ports")
    return not ports or any(entry["port"] == port and entry.get("protocol", "TCP") == "TCP" for entry in ports)


def _peer_matches(peer: Object, policy: Object, other: Endpoint) -> bool:
    if block := peer.get("ipBlock"):
        # Of pods it speaks where their addresses are in it, too: the cautious reading.
        address = ip_address(other.address)
        within = address in ip_network(block["cidr"])
        return within and not any(address in ip_network(gap) for gap in block.get("except", ()))
    if not other.is_pod:
        return False
    if selector := peer.get("namespaceSelector"):
        if not matches(selector, {"kubernetes.io/metadata.name": other.namespace}):
            return False
    elif other.namespace != policy["metadata"]["namespace"]:
        return False
    return matches(peer.get("podSelector", {}), other.labels)


def matches(selector: Object, labels: Mapping[str, str]) -> bool:
    """Whether a label selector selects something with these labels."""
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
