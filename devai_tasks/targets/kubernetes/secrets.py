"""Secrets of a stack in its cluster: one Secret, which the lab mounts as files."""

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

# Another field manager than that of the manifests: applying manifests, which hold no secrets, must not remove any.
MANAGER = "devai-secrets"


@dataclass(frozen=True)
class SecretChanges:
    """Secret values in the cluster, and the desired ones; not to be printed."""

    present: Mapping[str, str] = field(repr=False)
    desired: Mapping[str, str] = field(repr=False)
    kept: tuple[str, ...] = ()
    """Names of secrets without a value on this machine, which are left unchanged."""

    @property
    def changed(self) -> list[str]:
        """The names of secrets that are added, changed or removed."""
        names = {*self.present, *self.desired}
        return sorted(name for name in names if self.present.get(name) != self.desired.get(name))

    @property
    def shown(self) -> str:
        """A line for each changed secret with its change; empty without changes."""
        return "\n".join(f"secret {name}: {self._action(name)}" for name in self.changed)

    def _action(self, name: str) -> str:
        if name not in self.present:
            return "new"
        return "changed" if name in self.desired else "removed"

    @property
    def restart_task(self) -> str:
        """The task that makes running pods use the new values; proxies concern Ollama as well as the lab."""
        return "k8s.restart" if {*self.changed} & {*PROXIES} else "k8s.restart --service=devai"


def renew(cluster: Cluster) -> SecretChanges:
    """Return the cluster's secrets with a new token.

    Raises:
        UsageError: the cluster has no token, or its secrets come from a secret store.
    """
    _check_own(cluster)
    present = stored(cluster)
    if cluster.dry:
        return SecretChanges({}, {})
    if TOKEN not in present:
        raise UsageError(
            f"the cluster has no token for {cluster.settings.stack}",
            hint="`inv k8s.secrets` sends one",
            code="DEVAI-K8S-007",
        )
    # For a stack on this machine, the stored token belongs to the lab in Compose and must not change.
    local = cluster.settings.compute.uses_compose
    token = state.new_token() if local else state.renew_token(cluster.project, cluster.settings.stack)
    return SecretChanges(present, {**present, TOKEN: token})


def restarted(cluster: Cluster, changes: SecretChanges | None) -> list[str]:
    """Return the Deployments whose pods have to be restarted to use the changed values."""
    if not (changes and changes.present and changes.changed):
        return []
    return cluster.deployments if {*changes.changed} & {*PROXIES} else [naming.LAB]


def compare(cluster: Cluster, live: Sequence[Object] = ()) -> SecretChanges:
    """Compare the token and the secrets on this machine with those in the cluster.

    Secrets in the cluster that are set on another machine are kept, and so is the token. Secrets that are no longer in
    the configuration are removed. Under `--dry` nothing is compared.

    Args:
        cluster: the stack's cluster.
        live: objects of the stack that were read before; if the secret is among them, it is not read again.

    Raises:
        UsageError: the secrets come from a secret store.
    """
    settings = cluster.settings
    _check_own(cluster)
    present = stored(cluster, live)
    if cluster.dry:
        return SecretChanges({}, {})
    handover = secret_values.beside(cluster.project, settings, present)
    desired = {name: value for name, value in handover.values.items() if value}
    desired[TOKEN] = present.get(TOKEN) or state.token(cluster.project, settings.stack)
    return SecretChanges(present, desired, handover.kept)


def send(cluster: Cluster, changes: SecretChanges) -> None:
    """Write the desired secrets into the cluster; under `--dry` only print the command."""
    if cluster.dry:
        cluster.kubectl.apply("", manager=MANAGER)
    elif changes.changed:
        if removed := sorted(changes.present.keys() - changes.desired.keys()):
            cluster.kubectl.remove_data(naming.LAB, removed)
        cluster.kubectl.apply(_object(cluster, changes.desired), manager=MANAGER)


def stored(cluster: Cluster, live: Sequence[Object] = ()) -> dict[str, str]:
    """Return the secret values in the cluster; not to be printed."""
    secret = objects.of_kind(live, "Secret").get(naming.LAB) or cluster.kubectl.object("secret", naming.LAB)
    data = (secret or {}).get("data") or {}
    return {name: base64.b64decode(text).decode(errors="surrogateescape") for name, text in data.items()}


def _check_own(cluster: Cluster) -> None:
    """Raise UsageError if the secrets come from a secret store."""
    settings = cluster.settings
    if settings.kubernetes.secret_store:
        raise UsageError(
            f"the secrets of {settings.stack} come from {settings.kubernetes.secret_store} (kubernetes.secret_store)",
            hint="change them there",
        )


def _object(cluster: Cluster, values: Mapping[str, str]) -> str:
    """Return the Secret's manifest for kubectl's standard input."""
    encoded = {
        name: base64.b64encode(value.encode(errors="surrogateescape")).decode() for name, value in values.items()
    }
    labels = {**rendering.MANAGED_BY, rendering.STACK_LABEL: cluster.namespace}
    metadata = {"name": naming.LAB, "namespace": cluster.namespace, "labels": labels}
    return json.dumps({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": encoded})
