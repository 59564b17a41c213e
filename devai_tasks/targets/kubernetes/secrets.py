"""The secrets of a stack in its cluster: one object, from which the lab takes files."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from devai_tasks.config import naming
from devai_tasks.config.secrets import PROXIES, TOKEN
from devai_tasks.system.errors import UsageError
from devai_tasks.targets.kubernetes import objects, rendering
from devai_tasks.targets.kubernetes.deployment import Cluster, Object
from devai_tasks.workspace import secret_values, state

# Not the manager of the manifests: what is applied with those never holds a secret, and must not take one away.
MANAGER = "devai-secrets"


@dataclass(frozen=True)
class Sending:
    """What the cluster has, and what it is to have: values, for the caller's eyes only."""

    present: Mapping[str, str] = field(repr=False)
    wanted: Mapping[str, str] = field(repr=False)
    kept: tuple[str, ...] = ()
    """Those without a value on this machine, which stay as they are."""

    @property
    def changed(self) -> list[str]:
        """The names of those that are new, become others, or go."""
        names = {*self.present, *self.wanted}
        return sorted(name for name in names if self.present.get(name) != self.wanted.get(name))

    @property
    def shown(self) -> str:
        """The same, each with what happens to it; empty where nothing does."""
        return "\n".join(f"secret {name}: {self._fate(name)}" for name in self.changed)

    def _fate(self, name: str) -> str:
        if name not in self.present:
            return "new"
        return "another value" if name in self.wanted else "removed"

    @property
    def restart_task(self) -> str:
        """The task after which pods that run see it: Ollama, too, takes its way out of the network from there."""
        return "k8s.restart" if {*self.changed} & {*PROXIES} else "k8s.restart --service=devai"


def renew(cluster: Cluster) -> Sending:
    """The secrets of the cluster with another token. Raises UsageError where it has none from here."""
    _check_own(cluster)
    present = stored(cluster)
    if cluster.dry:
        return Sending({}, {})
    if TOKEN not in present:
        raise UsageError(
            f"the cluster has no token for {cluster.settings.stack}",
            hint="`inv k8s.secrets` sends one",
            code="DEVAI-K8S-007",
        )
    # On this machine the stack's own token is that of the lab in Compose.
    local = cluster.settings.compute.uses_compose
    token = state.new_token() if local else state.renew_token(cluster.project, cluster.settings.stack)
    return Sending(present, {**present, TOKEN: token})


def restarted(cluster: Cluster, sending: Sending | None) -> list[str]:
    """The Deployments whose pods run with what becomes another value."""
    if not (sending and sending.present and sending.changed):
        return []
    return cluster.deployments if {*sending.changed} & {*PROXIES} else [naming.LAB]


def compare(cluster: Cluster, there: Sequence[Object] = ()) -> Sending:
    """The token and every secret that is set on this machine, beside what the cluster has.

    `there` is what was seen of the stack just now: with the secret in it, the cluster isn't asked again.
    What is set elsewhere and is in the cluster already stays, and so does the token. What the configuration no longer
    names goes. Under `--dry` nothing is compared. Raises UsageError where a secret store is the source.
    """
    settings = cluster.settings
    _check_own(cluster)
    present = stored(cluster, there)
    if cluster.dry:
        return Sending({}, {})
    handover = secret_values.beside(cluster.project, settings, present)
    wanted = {name: value for name, value in handover.values.items() if value}
    wanted[TOKEN] = present.get(TOKEN) or state.token(cluster.project, settings.stack)
    return Sending(present, wanted, handover.kept)


def send(cluster: Cluster, sending: Sending) -> None:
    """Have in the cluster what it is to have; under `--dry` the command is said."""
    if cluster.dry:
        cluster.kubectl.apply("", manager=MANAGER)
    elif sending.changed:
        if gone := sorted(sending.present.keys() - sending.wanted.keys()):
            cluster.kubectl.remove_data(naming.LAB, gone)
        cluster.kubectl.apply(_object(cluster, sending.wanted), manager=MANAGER)


def stored(cluster: Cluster, there: Sequence[Object] = ()) -> dict[str, str]:
    """What the cluster has, for the caller's eyes only."""
    found = objects.of_kind(there, "Secret").get(naming.LAB) or cluster.kubectl.object("secret", naming.LAB)
    data = (found or {}).get("data") or {}
    return {name: base64.b64decode(text).decode(errors="surrogateescape") for name, text in data.items()}


def _check_own(cluster: Cluster) -> None:
    """Raise UsageError where a secret store is the source."""
    settings = cluster.settings
    if settings.kubernetes.secret_store:
        raise UsageError(
            f"the secrets of {settings.stack} come from {settings.kubernetes.secret_store} (kubernetes.secret_store)",
            hint="change them there",
        )


def _object(cluster: Cluster, values: Mapping[str, str]) -> str:
    """The object, as it goes to kubectl's standard input."""
    encoded = {
        name: base64.b64encode(value.encode(errors="surrogateescape")).decode() for name, value in values.items()
    }
    labels = {**rendering.MANAGED_BY, rendering.STACK_LABEL: cluster.namespace}
    metadata = {"name": naming.LAB, "namespace": cluster.namespace, "labels": labels}
    return json.dumps({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": encoded})
