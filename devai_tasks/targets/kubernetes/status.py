"""The status of a stack's objects in its cluster, as a table."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from devai_tasks.targets.kubernetes import objects, rollout
from devai_tasks.targets.kubernetes.deployment import Cluster

Object = Mapping[str, Any]

KINDS = "deployments.apps,pods,jobs.batch,persistentvolumeclaims,ingresses.networking.k8s.io"


def rows(cluster: Cluster) -> list[dict[str, str]]:
    """Return kind, name, state, image and age of workloads, pods, jobs, claims and the ingress."""
    cluster.kubectl.check_context()
    live = cluster.kubectl.objects(KINDS, cluster.selector)
    return [_row(item) for item in live]


def _row(item: Object) -> dict[str, str]:
    metadata = item["metadata"]
    return {
        "kind": item["kind"],
        "name": metadata["name"],
        "state": _state(item),
        "image": _image(item),
        "age": _age(metadata["creationTimestamp"]),
    }


def _state(item: Object) -> str:
    status = item.get("status", {})
    match item["kind"]:
        case "Deployment":
            revision = item["metadata"].get("annotations", {}).get(rollout.REVISION, "?")
            return f"{status.get('readyReplicas', 0)}/{item['spec'].get('replicas', 1)} ready, revision {revision}"
        case "Pod":
            state, restarts = rollout.state(item)
            state = "terminating" if objects.is_terminating(item) else state
            ready = "ready" if objects.is_ready(item) else "not ready"
            return f"{state}, {ready}" + (f", {restarts} restarts" if restarts else "")
        case "Job":
            return rollout.job_state(item)
        case "Ingress":
            addresses = status.get("loadBalancer", {}).get("ingress") or [{}]
            return str(addresses[0].get("hostname") or addresses[0].get("ip") or "no address yet")
        case _:
            size = status.get("capacity", {}).get("storage", "")
            return f"{status.get('phase', 'Pending')} {size}".strip()


def _image(item: Object) -> str:
    spec = item["spec"].get("template", item).get("spec", {})
    containers = spec.get("containers", ())
    return str(containers[0]["image"]) if containers else ""


def _age(since: str) -> str:
    seconds = int((datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds())
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"
