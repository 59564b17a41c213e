"""Rollouts: watched until every workload runs, explained where one doesn't, and taken back."""

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
# How long a pod may be in a state that seldom gets better, in seconds: registries and networks have their moments.
FAILED = {
    "CreateContainerConfigError": 45,
    "CreateContainerError": 20,
    "CrashLoopBackOff": 0,
    "ErrImageNeverPull": 0,
    "ImagePullBackOff": 20,
    "InvalidImageName": 0,
}
# A container that ends may have waited for another one: three times it may.
RESTARTS = 3
LOG_LINES = 10
# How often pods are looked at; of workloads the server tells by itself.
_POLL_SECONDS = 2
# How long nobody may answer before that ends the watching: networks have their moments, too.
_SILENCE_SECONDS = 30


@dataclass
class _Watch:
    """A rollout as it was seen so far."""

    kubectl: Kubectl
    deployments: Sequence[str]
    found: dict[str, Object] = field(default_factory=dict)
    """The workloads, by name."""
    since: dict[str, float] = field(default_factory=dict)
    """Since when each pod is in a state that seldom gets better."""

    def waiting(self) -> list[str]:
        """A line for each workload that is not ready yet."""
        lines = []
        for name in self.deployments:
            if name not in self.found:
                lines.append(f"{name}: not there yet")
            elif not _complete(self.found[name]):
                lines.append(f"{name}: {_progress(self.found[name])}")
        return lines

    def see(self, changed: Sequence[Object]) -> None:
        """Take note of workloads that have changed."""
        self.found |= {item["metadata"]["name"]: item for item in changed}

    def look(self) -> str:
        """Look at all there is; says why a workload will never be ready (empty for no reason)."""
        there = _objects(self.kubectl, "deployments.apps,replicasets.apps,pods")
        self.found = {item["metadata"]["name"]: item for item in there if item["kind"] == "Deployment"}
        own = [self.found[name] for name in self.deployments if name in self.found]
        return next((reason for deployment in own for reason in self._failed(deployment, there)), "")

    def _failed(self, deployment: Object, there: Sequence[Object]) -> Iterator[str]:
        name = deployment["metadata"]["name"]
        for pod in pods(deployment, there):
            reason, restarts = state(pod)
            key = f"{pod['metadata']['name']} {reason}"
            if reason not in FAILED or (reason == "CrashLoopBackOff" and restarts < RESTARTS):
                continue
            since = self.since.setdefault(key, time.monotonic())
            if time.monotonic() - since >= FAILED[reason]:
                yield f"{name}: {pod['metadata']['name']} is in {reason}"


def _objects(kubectl: Kubectl, kinds: str, *options: str) -> list[dict[str, Any]]:
    """Objects as the server has them. Raises ToolError where it hasn't given them for a while."""
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
    """Return when all workloads run what was applied last.

    Raises DevaiError with the reason where one doesn't, or not in time. With `before`, the revisions of before that,
    those come back first.
    """
    failed = _failed(kubectl, deployments, seconds=seconds)
    if not failed:
        return
    explanation = "\n".join([failed, *explain(kubectl, deployments)])
    if before is None:
        raise DevaiError(
            f"{explanation}\nit is left as it is", hint="`inv k8s.rollback` goes back, `inv k8s.status` shows more"
        )
    console.warn(explanation)
    raise DevaiError(_undo(kubectl, deployments, before, seconds=seconds))


def _failed(kubectl: Kubectl, deployments: Sequence[str], *, seconds: int) -> str:
    """Wait until all workloads run; says why one never will, or hasn't in time (empty for no reason)."""
    watch, deadline, last, failed = _Watch(kubectl, deployments), time.monotonic() + seconds, "", ""
    with console.waiting("waiting for pods"), kubectl.changes("deployments.apps") as changed:
        while True:
            if found := changed(_POLL_SECONDS):
                watch.see(found)
            else:
                failed = watch.look()
            waiting = watch.waiting()
            if not waiting or failed:
                return failed if waiting else ""
            text = "; ".join(waiting)
            if text != last:
                console.say(f"  {text}")
                last = text
            if time.monotonic() > deadline:
                return f"not ready after {seconds} s: {text}"


def _undo(kubectl: Kubectl, deployments: Sequence[str], before: Mapping[str, int], *, seconds: int) -> str:
    """Bring back the revisions of before; says what came of that."""
    now = revisions(_objects(kubectl, "deployments.apps"), deployments)
    changed = [name for name in deployments if before.get(name) and now.get(name) != before[name]]
    if not changed:
        return "the rollout failed, for the reason above, and there is nothing to go back to: this was the first one"
    for name in changed:
        kubectl.undo(name, revision=before[name])
    with console.step(f"going back: {', '.join(changed)}"):
        wait(kubectl, changed, seconds=seconds)
    return f"the rollout failed, for the reason above; back to what ran before: {', '.join(changed)}"


def back(kubectl: Kubectl, deployments: Sequence[str], *, revision: int, seconds: int) -> None:
    """Go back to an earlier revision (0: the one before), and wait until it runs."""
    for name in deployments:
        kubectl.undo(name, revision=revision)
    if kubectl.dry:
        return print_commands(kubectl, deployments, seconds)
    wait(kubectl, deployments, seconds=seconds)


def revisions(there: Sequence[Object], deployments: Sequence[str]) -> dict[str, int]:
    """The revision that each workload is at, of those that are there."""
    found = {item["metadata"]["name"]: item for item in there if item["kind"] == "Deployment"}
    return {name: _revision(found[name]) for name in deployments if name in found}


def config_maps(kubectl: Kubectl) -> set[str]:
    """The config maps that some revision of a workload refers to: a rollback would want them."""
    found = set()
    for replica_set in kubectl.objects("replicasets.apps"):
        spec = replica_set["spec"]["template"]["spec"]
        found |= {volume["configMap"]["name"] for volume in spec.get("volumes", ()) if "configMap" in volume}
        sources = [source for container in spec["containers"] for source in container.get("envFrom", ())]
        found |= {source["configMapRef"]["name"] for source in sources if "configMapRef" in source}
    return found


def explain(kubectl: Kubectl, deployments: Sequence[str]) -> list[str]:
    """Why workloads don't run: what their newest pods are waiting for, warnings about them, and their last words."""
    there = _objects(kubectl, "deployments.apps,replicasets.apps,pods,persistentvolumeclaims")
    lines = []
    for deployment in there:
        if (
            deployment["kind"] != "Deployment"
            or deployment["metadata"]["name"] not in deployments
            or _complete(deployment)
        ):
            continue
        for pod in pods(deployment, there):
            lines += _of_pod(kubectl, pod)
    for claim in there:
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
            said = kubectl.logs(name, f"--tail={LOG_LINES}", *previous)
        except ToolError:
            said = ""
        lines += [f"  | {line}" for line in said.splitlines()]
    return lines


def pods(deployment: Object, there: Sequence[Object]) -> list[Object]:
    """The pods of a workload's newest revision."""
    sets = {
        item["metadata"]["uid"]
        for item in there
        if item["kind"] == "ReplicaSet"
        and _owned(item, {deployment["metadata"]["uid"]})
        and _revision(item) == _revision(deployment)
    }
    return [item for item in there if item["kind"] == "Pod" and _owned(item, sets)]


def job_state(job: Object) -> str:
    """`done`, `failed` or `running`."""
    held = {entry["type"] for entry in objects.conditions(job) if entry["status"] == "True"}
    return "done" if "Complete" in held else "failed" if "Failed" in held else "running"


def wait_for_models(kubectl: Kubectl, *, seconds: int) -> tuple[str, list[str]]:
    """Wait for the job that brings models; returns what came of it, and its last words where it failed."""
    deadline = time.monotonic() + seconds
    with console.waiting("waiting for the job that brings models"):
        while True:
            jobs = _objects(kubectl, "jobs.batch", f"--selector=app.kubernetes.io/name={MODELS}")
            jobs.sort(key=lambda job: str(job["metadata"]["creationTimestamp"]))
            found = job_state(jobs[-1]) if jobs else "done"
            if found != "running" or time.monotonic() > deadline:
                break
            time.sleep(_POLL_SECONDS)
    if found == "done":
        return found, []
    name = jobs[-1]["metadata"]["name"]
    there = _objects(kubectl, "pods", f"--selector=batch.kubernetes.io/job-name={name}")
    lines: list[str] = []
    for pod in there[-1:]:
        lines += [f"{pod['metadata']['name']}: {state(pod)[0]}", *(f"  {line}" for line in _last_words(kubectl, pod))]
    return found, lines


def _last_words(kubectl: Kubectl, pod: Object) -> list[str]:
    try:
        return kubectl.logs(pod["metadata"]["name"], f"--tail={LOG_LINES}").splitlines()
    except ToolError:
        return []


def print_commands(kubectl: Kubectl, deployments: Sequence[str], seconds: int) -> None:
    """What waiting comes to, by hand; for `--dry`."""
    for name in deployments:
        kubectl.status(name, seconds=seconds)


def _complete(deployment: Object) -> bool:
    """As `kubectl rollout status` decides it."""
    status, wanted = deployment.get("status", {}), deployment["spec"].get("replicas", 1)
    updated = status.get("updatedReplicas", 0)
    return (
        _observed(deployment)
        and updated >= wanted
        and status.get("replicas", 0) <= updated
        and status.get("availableReplicas", 0) >= updated
    )


def _observed(deployment: Object) -> bool:
    return bool(deployment.get("status", {}).get("observedGeneration", 0) >= deployment["metadata"]["generation"])


def _progress(deployment: Object) -> str:
    status, wanted = deployment.get("status", {}), deployment["spec"].get("replicas", 1)
    if not _observed(deployment):
        return "waits for the cluster to notice"
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    old = max(0, status.get("replicas", 0) - updated)
    parts = [f"{updated} of {wanted} new, {available} ready" + (f", {old} old to go" if old else "")]
    # Where a quota, a limit or a webhook lets no pod be made, nobody but the workload can say so.
    problems = {("ReplicaFailure", "True"), ("Progressing", "False")}
    found = (entry for entry in objects.conditions(deployment) if (entry["type"], entry["status"]) in problems)
    parts += [entry.get("message", "") for entry in found]
    return "; ".join(parts)


def _revision(item: Object) -> int:
    return int(item["metadata"].get("annotations", {}).get(REVISION, 0))


def _owned(item: Object, owners: set[str]) -> bool:
    return any(owner["uid"] in owners for owner in item["metadata"].get("ownerReferences", ()))


def _statuses(pod: Object) -> list[Object]:
    status = pod.get("status", {})
    return [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]


def state(pod: Object) -> tuple[str, int]:
    """What a pod is waiting for, or else its phase; and how often its containers were started again."""
    statuses = _statuses(pod)
    restarts = sum(status.get("restartCount", 0) for status in statuses)
    for status in statuses:
        if reason := status["state"].get("waiting", {}).get("reason"):
            return str(reason), restarts
    return str(pod.get("status", {}).get("phase", "Pending")), restarts


def _messages(pod: Object) -> list[str]:
    """What the cluster says of a pod's containers, of its place, and of who else has to find it ready."""
    found = [status["state"].get("waiting", {}).get("message", "") for status in _statuses(pod)]
    for status in _statuses(pod):
        ended = status.get("lastState", {}).get("terminated") or status["state"].get("terminated")
        if ended:
            found.append(f"ended with code {ended['exitCode']} ({ended.get('reason', '')})")
    outside = {"PodScheduled", *(gate["conditionType"] for gate in pod["spec"].get("readinessGates", ()))}
    found += [
        entry.get("message", "")
        for entry in objects.conditions(pod)
        if (entry["type"] in outside and entry["status"] != "True") or entry.get("reason") == "ReadinessGatesNotReady"
    ]
    return [message for message in found if message]
