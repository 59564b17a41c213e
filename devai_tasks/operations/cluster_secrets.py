"""The secrets of a stack in its cluster: one object, from which the lab takes files."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence

from devai_tasks import state
from devai_tasks.errors import UsageError
from devai_tasks.operations import live, secrets
from devai_tasks.operations.cluster import Cluster, Object
from devai_tasks.render import kubernetes as definition

# Not the manager of the manifests: what is applied with those never holds a secret, and must not take one away.
MANAGER = "devai-secrets"


def send(cluster: Cluster, there: Sequence[Object] = ()) -> list[str]:
    """Have the token and every secret that is set on this machine in the cluster; returns the names of what changed.

    `there` is what was seen of the stack just now: with the secret in it, the cluster isn't asked again.
    What is set elsewhere and is in the cluster already stays, and so does the token. What the configuration no longer
    names goes. Raises UsageError where a secret store is the source.
    """
    settings = cluster.settings
    if settings.kubernetes.secret_store:
        raise UsageError(
            f"the secrets of {settings.stack} come from {settings.kubernetes.secret_store} (kubernetes.secret_store): "
            "change them there"
        )
    present = stored(cluster, there)
    values = {name: value for name, value in secrets.values(cluster.project, settings).items() if value}
    names = [definition.TOKEN, *settings.secrets]
    wanted = {name: value for name, value in {**present, **values}.items() if name in names}
    if cluster.dry:
        cluster.kubectl.apply("", manager=MANAGER)
        return []
    wanted.setdefault(definition.TOKEN, state.token(cluster.project, settings.stack))
    changed = sorted(name for name in {*present, *wanted} if present.get(name) != wanted.get(name))
    if changed:
        cluster.kubectl.apply(_object(cluster, wanted), manager=MANAGER)
    return changed


def stored(cluster: Cluster, there: Sequence[Object] = ()) -> dict[str, str]:
    """What the cluster has, for the caller's eyes only."""
    found = live.of_kind(there, "Secret").get(definition.LAB) or cluster.kubectl.object("secret", definition.LAB)
    data = (found or {}).get("data") or {}
    return {name: base64.b64decode(text).decode(errors="surrogateescape") for name, text in data.items()}


def _object(cluster: Cluster, values: Mapping[str, str]) -> str:
    """The object, as it goes to kubectl's standard input."""
    encoded = {
        name: base64.b64encode(value.encode(errors="surrogateescape")).decode() for name, value in values.items()
    }
    labels = {**definition.MANAGED_BY, definition.STACK_LABEL: cluster.namespace}
    metadata = {"name": definition.LAB, "namespace": cluster.namespace, "labels": labels}
    return json.dumps({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": encoded})
