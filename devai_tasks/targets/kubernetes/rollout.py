"""Rollouts: wait until every workload is available, diagnose failures, and roll back."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from devai_tasks.system import console
from devai_tasks.system.errors import DevaiError, ToolError
from devai_tasks.targets.kubernetes import objects
from devai_tasks.targets.kubernetes.kubectl import Kubectl
from devai_tasks.targets.kubernetes.rendering import MODELS

Object = Mapping[str, Any]

REVISION = "deployment.kubernetes.io/revision"
# Seconds that a pod may stay in a state that rarely recovers; registries and networks have temporary failures.
FAILED = {
    "CreateContainerConfigError": 45,
    "CreateContainerError": 20,
    "CrashLoopBackOff": 0,
    "ErrImageNeverPull": 0,
    "ImagePullBackOff": 20,
    "InvalidImageName": 0,
}
# Restarts before a crash loop counts as failure; a container may crash while another one is not ready yet.
RESTARTS = 3
LOG_LINES = 10
# Polling interval for pods; changes of workloads are watched.
_POLL_SECONDS = 2
# Seconds without an answer of the API server before the wait fails.
_SILENCE_SECONDS = 30


@dataclass
class _Watch:
    """The observed state of a rollout."""

    kubectl: Kubectl
    deployments: Sequence[str]
    workloads: dict[str, Object] = field(default_factory=dict)
    """The Deployments by name."""
    since: dict[str, float] = field(default_factory=dict)
    """The time since which each pod has been in a state that rarely recovers."""

    def waiting(self) -> list[str]:
        """Return a line for each workload that is not ready yet."""
        lines = []
        for name in self.deployments:
            if name not in self.workloads:
                lines.append(f"{name}: does not exist yet")
            elif not _is_complete(self.workloads[name]):
                lines.append(f"{name}: {_progress(self.workloads[name])}")
        return lines

    def see(self, changed: Sequence[Object]) -> None:
        """Update the state with changed workloads."""
        self.workloads |= {item["metadata"]["name"]: item for item in changed}

    def look(self) -> str:
        """Read the state of all workloads and pods; return why a workload can't become ready (empty for no reason)."""
        live = _objects(self.kubectl, "deployments.apps,replicasets.apps,pods")
        self.workloads = {item["metadata"]["name"]: item for item in live if item["kind"] == "Deployment"}
        deployments = [self.workloads[name] for name in self.deployments if name in self.workloads]
        return next((reason for deployment in deployments for reason in self._failed(deployment, live)), "")

    def _failed(self, deployment: Object, live: Sequence[Object]) -> Iterator[str]:
        name = deployment["metadata"]["name"]
        for pod in pods(deployment, live):
            reason, restarts = state(pod)
            key = f"{pod['metadata']['name']} {reason}"
            if reason not in FAILED or (reason == "CrashLoopBackOff" and restarts < RESTARTS):
                continue
            since = self.since.setdefault(key, time.monotonic())
            if time.monotonic() - since >= FAILED[reason]:
                yield f"{name}: {pod['metadata']['name']} is in {reason}"


def _objects(kubectl: Kubectl, kinds: str, *options: str) -> list[dict[str, Any]]:
    """Return live objects, retrying failed requests.

    Raises:
        ToolError: requests failed for `_SILENCE_SECONDS`.
    """
    since = 0.0
    while True:
        try:
            return kubectl.objects(kinds, *options)
        except ToolError:
            since = since or time.monotonic()
            if time.monotonic() - since > _SILENCE_SECONDS:
                raise
            time.sleep(_POLL_SECONDS)


def wait(
    kubectl: Kubectl, deployments: Sequence[str], *, seconds: int, before: Mapping[str, int] | None = None
) -> None:
    """Wait until all workloads run what was applied last.

    Args:
        kubectl: the stack's cluster.
        deployments: the names of the workloads.
        seconds: the time limit.
        before: the revisions before the rollout; a failed rollout is rolled back to them. None for no rollback.

    Raises:
        DevaiError: the rollout failed or was not complete in time; the message has the reason.
    """
    failed = _failed(kubectl, deployments, seconds=seconds)
    if not failed:
        return
    explanation = "\n".join([failed, *explain(kubectl, deployments)])
    if before is None:
        raise DevaiError(
            f"{explanation}\nthe failed rollout was not rolled back",
            hint="`inv k8s.rollback` rolls back, `inv k8s.status` shows more",
        )
    console.warn(explanation)
    raise DevaiError(_undo(kubectl, deployments, before, seconds=seconds))


def _failed(kubectl: Kubectl, deployments: Sequence[str], *, seconds: int) -> str:
    """Wait until all workloads are available; return why one is not (empty if all are)."""
    watch, deadline, previous_text, failed = _Watch(kubectl, deployments), time.monotonic() + seconds, "", ""
    with console.waiting("waiting for pods"), kubectl.changes("deployments.apps") as changed:
        while True:
            if objects_changed := changed(_POLL_SECONDS):
                watch.see(objects_changed)
            else:
                failed = watch.look()
            waiting = watch.waiting()
            if not waiting or failed:
                return failed if waiting else ""
            text = "; ".join(waiting)
            if text != previous_text:
                console.say(f"  {text}")
                previous_text = text
            if time.monotonic() > deadline:
                return f"not ready after {seconds} s: {text}"


def _undo(kubectl: Kubectl, deployments: Sequence[str], before: Mapping[str, int], *, seconds: int) -> str:
    """Roll back to the previous revisions; return a message with the result."""
    current = revisions(_objects(kubectl, "deployments.apps"), deployments)
    changed = [name for name in deployments if before.get(name) and current.get(name) != before[name]]
    if not changed:
        return "the rollout failed for the reason above; no previous revision to roll back to"
    for name in changed:
        kubectl.undo(name, revision=before[name])
    with console.step(f"rolling back: {', '.join(changed)}"):
        wait(kubectl, changed, seconds=seconds)
    return f"the rollout failed for the reason above; rolled back to the previous revision: {', '.join(changed)}"


def roll_back(kubectl: Kubectl, deployments: Sequence[str], *, revision: int, seconds: int) -> None:
    """Roll back to an earlier revision (0 is the previous one), and wait until it is available."""
    for name in deployments:
        kubectl.undo(name, revision=revision)
    if kubectl.dry:
        return print_commands(kubectl, deployments, seconds)
    wait(kubectl, deployments, seconds=seconds)


def revisions(live: Sequence[Object], deployments: Sequence[str]) -> dict[str, int]:
    """Return the current revision of each existing workload."""
    workloads = {item["metadata"]["name"]: item for item in live if item["kind"] == "Deployment"}
    return {name: _revision(workloads[name]) for name in deployments if name in workloads}


def config_maps(kubectl: Kubectl) -> set[str]:
    """Return the names of the config maps that any revision of a workload refers to, and a rollback would need."""
    names = set()
    for replica_set in kubectl.objects("replicasets.apps"):
        spec = replica_set["spec"]["template"]["spec"]
        names |= {volume["configMap"]["name"] for volume in spec.get("volumes", ()) if "configMap" in volume}
        sources = [source for container in spec["containers"] for source in container.get("envFrom", ())]
        names |= {source["configMapRef"]["name"] for source in sources if "configMapRef" in source}
    return names


def explain(kubectl: Kubectl, deployments: Sequence[str]) -> list[str]:
    """Return why workloads are not available: the states, warnings and last log lines of their newest pods."""
    live = _objects(kubectl, "deployments.apps,replicasets.apps,pods,persistentvolumeclaims")
    lines = []
    for deployment in live:
        if (
            deployment["kind"] != "Deployment"
            or deployment["metadata"]["name"] not in deployments
            or _is_complete(deployment)
        ):
            continue
        for pod in pods(deployment, live):
            lines += _of_pod(kubectl, pod)
    for claim in live:
        if claim["kind"] == "PersistentVolumeClaim" and claim["status"].get("phase") == "Pending":
            name = claim["metadata"]["name"]
            lines += [f"{name}: {message}" for message in kubectl.events(name)[-1:]]
    return lines


def _of_pod(kubectl: Kubectl, pod: Object) -> list[str]:
    name = pod["metadata"]["name"]
    reason, restarts = state(pod)
    if objects.is_ready(pod):
        return []
    lines = [f"{name}: {reason}" + (f", {restarts} restarts" if restarts else "")]
    lines += [f"  {message}" for message in dict.fromkeys([*_messages(pod), *kubectl.events(name)[-3:]])]
    started = any(status.get("restartCount") or status["state"].get("running") for status in _statuses(pod))
    if started:
        try:
            previous = ["--previous"] if restarts else []
            output = kubectl.logs(name, f"--tail={LOG_LINES}", *previous)
        except ToolError:
            output = ""
        lines += [f"  | {line}" for line in output.splitlines()]
    return lines


def pods(deployment: Object, live: Sequence[Object]) -> list[Object]:
    """Return the pods of a workload's newest revision."""
    sets = {
        item["metadata"]["uid"]
        for item in live
        if item["kind"] == "ReplicaSet"
        and _is_owned(item, {deployment["metadata"]["uid"]})
        and _revision(item) == _revision(deployment)
    }
    return [item for item in live if item["kind"] == "Pod" and _is_owned(item, sets)]


def job_state(job: Object) -> str:
    """Return the state of a job: `done`, `failed` or `running`."""
    conditions = {entry["type"] for entry in objects.conditions(job) if entry["status"] == "True"}
    return "done" if "Complete" in conditions else "failed" if "Failed" in conditions else "running"


def wait_for_models(kubectl: Kubectl, *, seconds: int) -> tuple[str, list[str]]:
    """Wait for the job that pulls models; return its state, and unless it is done the last lines of its log."""
    deadline = time.monotonic() + seconds
    with console.waiting("waiting for the job that pulls models"):
        while True:
            jobs = _objects(kubectl, "jobs.batch", f"--selector=app.kubernetes.io/name={MODELS}")
            jobs.sort(key=lambda job: str(job["metadata"]["creationTimestamp"]))
            result = job_state(jobs[-1]) if jobs else "done"
            if result != "running" or time.monotonic() > deadline:
                break
            time.sleep(_POLL_SECONDS)
    if result == "done":
        return result, []
    name = jobs[-1]["metadata"]["name"]
    live = _objects(kubectl, "pods", f"--selector=batch.kubernetes.io/job-name={name}")
    lines: list[str] = []
    for pod in live[-1:]:
        lines += [f"{pod['metadata']['name']}: {state(pod)[0]}", *(f"  {line}" for line in _log_tail(kubectl, pod))]
    return result, lines


def _log_tail(kubectl: Kubectl, pod: Object) -> list[str]:
    try:
        return kubectl.logs(pod["metadata"]["name"], f"--tail={LOG_LINES}").splitlines()
    except ToolError:
        return []


def print_commands(kubectl: Kubectl, deployments: Sequence[str], seconds: int) -> None:
    """Print the kubectl commands that wait for the workloads; for `--dry`."""
    for name in deployments:
        kubectl.status(name, seconds=seconds)


def _is_complete(deployment: Object) -> bool:
    """Whether a rollout is complete, by the rules of `kubectl rollout status`."""
    status, desired = deployment.get("status", {}), deployment["spec"].get("replicas", 1)
    updated = status.get("updatedReplicas", 0)
    return (
        _is_observed(deployment)
        and updated >= desired
        and status.get("replicas", 0) <= updated
        and status.get("availableReplicas", 0) >= updated
    )


def _is_observed(deployment: Object) -> bool:
    return bool(deployment.get("status", {}).get("observedGeneration", 0) >= deployment["metadata"]["generation"])


def _progress(deployment: Object) -> str:
    status, desired = deployment.get("status", {}), deployment["spec"].get("replicas", 1)
    if not _is_observed(deployment):
        return "waiting for the cluster to start the rollout"
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    old = max(0, status.get("replicas", 0) - updated)
    parts = [f"{updated} of {desired} new, {available} ready" + (f", {old} old to remove" if old else "")]
    # If a quota, a limit or a webhook prevents new pods, only the workload's conditions contain the reason.
    problems = {("ReplicaFailure", "True"), ("Progressing", "False")}
    entries = (entry for entry in objects.conditions(deployment) if (entry["type"], entry["status"]) in problems)
    parts += [entry.get("message", "") for entry in entries]
    return "; ".join(parts)


def _revision(item: Object) -> int:
    return int(item["metadata"].get("annotations", {}).get(REVISION, 0))


def _is_owned(item: Object, owners: set[str]) -> bool:
    return any(owner["uid"] in owners for owner in item["metadata"].get("ownerReferences", ()))


def _statuses(pod: Object) -> list[Object]:
    status = pod.get("status", {})
    return [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]


def state(pod: Object) -> tuple[str, int]:
    """Return what a pod is waiting for, or else its phase; and the number of restarts of its containers."""
    statuses = _statuses(pod)
    restarts = sum(status.get("restartCount", 0) for status in statuses)
    for status in statuses:
        if reason := status["state"].get("waiting", {}).get("reason"):
            return str(reason), restarts
    return str(pod.get("status", {}).get("phase", "Pending")), restarts


def _messages(pod: Object) -> list[str]:
    """Return the messages about a pod's containers, its scheduling and its readiness gates."""
    messages = [status["state"].get("waiting", {}).get("message", "") for status in _statuses(pod)]
    for status in _statuses(pod):
        terminated = status.get("lastState", {}).get("terminated") or status["state"].get("terminated")
        if terminated:
            messages.append(f"stopped with exit code {terminated['exitCode']} ({terminated.get('reason', '')})")
    external = {"PodScheduled", *(gate["conditionType"] for gate in pod["spec"].get("readinessGates", ()))}
    messages += [
        entry.get("message", "")
        for entry in objects.conditions(pod)
        if (entry["type"] in external and entry["status"] != "True") or entry.get("reason") == "ReadinessGatesNotReady"
    ]
    return [message for message in messages if message]
