"""Ownership of a stack in a cluster, by a label of its namespace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from devai_tasks.config.schema import Settings
from devai_tasks.targets.kubernetes import rendering
from devai_tasks.targets.kubernetes.kubectl import Kubectl
from devai_tasks.workspace.ownership import Claim, Owner, of_project

# Another field manager than that of the manifests: applying manifests without the label must not remove it.
_MANAGER = "devai-owner"


def of_namespace(kubectl: Kubectl, settings: Settings) -> Owner:
    """Return the owner of a stack in its cluster."""
    what = f"the namespace {kubectl.namespace} in {kubectl.context}"
    live = kubectl.object("namespace", kubectl.namespace)
    if not live:
        return Owner(Claim.FREE, what, "")
    labels: Mapping[str, Any] = live["metadata"].get("labels", {})
    mark = labels.get(rendering.PROJECT_LABEL)
    if mark is None and labels.get(rendering.STACK_LABEL) != kubectl.namespace:
        own = f"the project {settings.project.name}"
        return Owner(Claim.FOREIGN, what, own, "another owner: it is not marked as a stack")
    return of_project(settings, what, mark)


def mark_namespace(kubectl: Kubectl, identity: str) -> None:
    """Mark a stack's namespace with the project's identity."""
    kubectl.apply(rendering.mark(kubectl.namespace, identity), manager=_MANAGER)
