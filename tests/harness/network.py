"""Connections between pods of a cluster and a network outside of it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from harness.kubernetes.cluster import LocalCluster
from harness.kubernetes.node import ADDRESS, Node
from harness.kubernetes.releases import TEST_POD

OUTSIDE = "outside"
PORTS = ("53", "80", "443", "988", "8080", "8888", "11434")
"""The ports on which pods and the outside network listen."""


@dataclass(frozen=True)
class Connection:
    """A connection to a port of a pod or an address, which policies allow or refuse."""

    policy: str
    source: str
    target: str
    allowed: bool
    protocol: str = "tcp"

    def __str__(self) -> str:
        verb = "allows" if self.allowed else "refuses"
        return f"{self.policy} {verb} {self.source} to {self.target}/{self.protocol}"


@dataclass(frozen=True)
class Network:
    """Pods of a test, which listen on PORTS."""

    cluster: LocalCluster
    image: str
    pods: dict[str, str] = field(default_factory=dict)
    """The namespace of each pod."""
    addresses: dict[str, str] = field(default_factory=dict)
    """The address of each pod."""
    created: list[tuple[str, ...]] = field(default_factory=list)
    """The objects to delete afterwards, as arguments of kubectl."""

    def extended(self) -> Network:
        """Return a network with the same pods, to which others can be added."""
        return replace(self, pods=dict(self.pods), addresses=dict(self.addresses), created=[])

    def create(self, namespace: str) -> None:
        """Create a namespace."""
        self._apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        self.created.append((f"namespace/{namespace}",))

    def start(self, namespace: str, pods: Mapping[str, Mapping[str, str]]) -> None:
        """Start pods with labels."""
        container = {"name": "pod", "image": self.image, "imagePullPolicy": "Never", "args": ["listen", *PORTS]}
        root = {"runAsUser": 0, "runAsNonRoot": False}  # for ports below 1024
        spec = {"containers": [container | {"securityContext": root}], "terminationGracePeriodSeconds": 0}
        for name, labels in pods.items():
            metadata = {"name": name, "namespace": namespace, "labels": dict(labels)}
            self._apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
            self.created.append((f"pod/{name}", f"--namespace={namespace}"))
            self.pods[name] = namespace

    def wait(self) -> None:
        """Wait until all pods are ready."""
        for name, namespace in self.pods.items():
            pod = (f"pod/{name}", f"--namespace={namespace}")
            waited = self.cluster.kubectl("wait", *pod, "--for=condition=Ready", "--timeout=60s")
            assert waited.returncode == 0, waited.stderr
            self.addresses[name] = self.cluster.get(*pod)["status"]["podIP"]

    def possible(self, attempts: Sequence[Connection]) -> set[Connection]:
        """Return the connections that can be established."""
        result: set[Connection] = set()
        for source in dict.fromkeys(attempt.source for attempt in attempts):
            targets = {self._target(attempt): attempt for attempt in attempts if attempt.source == source}
            result |= {targets[line] for line in self._connect(source, list(targets)).splitlines()}
        return result

    def remove(self) -> None:
        """Delete all that was created."""
        for item in reversed(self.created):
            self.cluster.kubectl("delete", *item, "--wait=false")

    def _apply(self, item: dict[str, object]) -> None:
        applied = self.cluster.apply(item)
        assert applied.returncode == 0, applied.stderr

    def _target(self, attempt: Connection) -> str:
        host, _, port = attempt.target.rpartition(":")
        return f"{attempt.protocol}/{self.addresses.get(host, host)}:{port}"

    def _connect(self, source: str, targets: Sequence[str]) -> str:
        if source in self.pods:
            pod = ("exec", source, f"--namespace={self.pods[source]}", "--")
            result = self.cluster.kubectl(*pod, "/test_pod", "connect", "", *targets)
        else:
            command = self.cluster.node.inside(*_outside("connect", source, *targets))
            result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        return result.stdout


def _outside(*arguments: str) -> list[str]:
    return ["ip", "netns", "exec", OUTSIDE, str(TEST_POD.programs() / "test_pod"), *arguments]


@contextmanager
def outside(node: Node, addresses: Sequence[str]) -> Iterator[None]:
    """Connect the node to a network with these addresses, a network namespace in the node that listens on PORTS."""
    commands = [
        f"ip netns add {OUTSIDE}",
        f"ip link add {OUTSIDE} type veth peer name node netns {OUTSIDE}",
        f"ip link set {OUTSIDE} up",
        *(f"ip -n {OUTSIDE} address add {address}/32 dev lo" for address in addresses),
        f"ip -n {OUTSIDE} link set lo up",
        f"ip -n {OUTSIDE} link set node up",
        f"ip -n {OUTSIDE} route add default via {ADDRESS} dev node onlink",
        *(f"ip route add {address}/32 dev {OUTSIDE}" for address in addresses),
    ]
    for command in commands:
        subprocess.run(node.inside(*command.split()), check=True)
    listening = node.start(OUTSIDE, _outside("listen", *PORTS))
    try:
        yield
    finally:
        listening.stop()
        subprocess.run(node.inside("ip", "netns", "delete", OUTSIDE), check=True)
