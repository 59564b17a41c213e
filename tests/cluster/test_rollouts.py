"""Changes, scaling and rollbacks of a stack on an API server without controllers: the tests write their status."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from harness.kubernetes.api import Cluster as Nodes
from harness.kubernetes.api import Kubernetes
from harness.settings import load

from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.system.errors import DevaiError, ToolError
from devai_tasks.targets.kubernetes import deployment as kubernetes
from devai_tasks.targets.kubernetes import objects, rollout, scaling
from devai_tasks.targets.kubernetes.deployment import Cluster
from devai_tasks.targets.kubernetes.rendering import STACK_LABEL

NAMES = {"app.kubernetes.io/name": "devai"}


@pytest.fixture
def cluster(
    api_server: Kubernetes, project: Project, local_dev: Stack, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cluster]:
    """A stack that consists of its namespace and the default service account."""
    if isinstance(api_server, Nodes):
        pytest.skip("the cluster's controllers would overwrite the status")
    monkeypatch.setenv("KUBECONFIG", str(api_server.kubeconfig))
    monkeypatch.chdir(project.root)
    with api_server.namespace() as name:
        overrides = (f"kubernetes.context={api_server.context}", f"project.name={name}")
        stack = Cluster(project, load(project, local_dev, overrides))
        for kind, object_name in (("Namespace", stack.namespace), ("ServiceAccount", "default")):
            stack.kubectl.apply(json.dumps({"apiVersion": "v1", "kind": kind, "metadata": {"name": object_name}}))
        yield stack
        api_server.kubectl("delete", "namespace", stack.namespace, "--wait=false")


def of_stack(
    cluster: Cluster, kind: str, name: str, spec: Mapping[str, Any], version: str = "apps/v1", **metadata: Any
) -> str:
    """Return the manifest of an object with the stack's label."""
    metadata |= {"name": name, "labels": {STACK_LABEL: cluster.namespace, **NAMES}}
    return json.dumps({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec})


def pod(**labels: str) -> dict[str, Any]:
    """Return a pod template."""
    container = {"name": "devai", "image": "lab.invalid/lab:1"}
    return {"metadata": {"labels": {**NAMES, **labels}}, "spec": {"containers": [container]}}


def deployment(cluster: Cluster, template: Mapping[str, Any], **spec: Any) -> str:
    """Return the manifest of the lab's Deployment."""
    return of_stack(cluster, "Deployment", "devai", {"selector": {"matchLabels": NAMES}, "template": template, **spec})


def set_status(api_server: Kubernetes, cluster: Cluster, name: str, **status: Any) -> None:
    """Set the status of an object, as a controller or a kubelet does."""
    patch = ("--subresource=status", "--type=merge", f"--patch={json.dumps({'status': status})}")
    result = api_server.kubectl("patch", name, f"--namespace={cluster.namespace}", *patch)
    assert result.returncode == 0, result.stderr


def test_apply_keeps_labs_that_an_autoscaler_added_after_the_diff(cluster: Cluster) -> None:
    cluster.kubectl.apply(deployment(cluster, pod(), replicas=2))
    before = cluster.kubectl.objects("deployments.apps")
    cluster.kubectl.scale(["devai"], 5)
    kubernetes.send(cluster, deployment(cluster, pod(changed="yes")), before)
    (live,) = cluster.kubectl.objects("deployments.apps")
    assert live["spec"]["replicas"] == 5
    assert live["spec"]["template"]["metadata"]["labels"]["changed"] == "yes"


def test_stop_does_not_wait_for_evicted_pods(
    api_server: Kubernetes, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scaling, "_END_SECONDS", 3)
    cluster.kubectl.apply(deployment(cluster, pod(), replicas=1))
    cluster.kubectl.apply(of_stack(cluster, "Pod", "devai-evicted", pod()["spec"], "v1"))
    with pytest.raises(ToolError, match="timed out"):
        scaling.stop(cluster)  # the pod still runs
    set_status(api_server, cluster, "pod/devai-evicted", phase="Failed", reason="Evicted")
    scaling.stop(cluster)
    (live,) = cluster.kubectl.objects("deployments.apps")
    assert live["spec"]["replicas"] == 0


def roll(cluster: Cluster, template: Mapping[str, Any], *, revision: int) -> dict[str, Any]:
    """Annotate the workload with a revision and create the revision's ReplicaSet, as the controller does."""
    (owner,) = cluster.kubectl.objects("deployments.apps")
    annotated = {"annotations": {rollout.REVISION: str(revision)}}
    workload = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "devai", **annotated}}
    cluster.kubectl.apply(json.dumps(workload), manager="controller")
    labels = {**template["metadata"]["labels"], "pod-template-hash": str(revision)}
    spec = {"selector": {"matchLabels": labels}, "template": {**template, "metadata": {"labels": labels}}}
    metadata: dict[str, Any] = {**annotated, "ownerReferences": owned_by(owner)}
    cluster.kubectl.apply(of_stack(cluster, "ReplicaSet", f"devai-{revision}", spec, **metadata))
    return cluster.kubectl.object("replicaset", f"devai-{revision}") or {}


def owned_by(owner: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the owner references to a controller."""
    names = {"apiVersion": "apps/v1", "kind": owner["kind"], "name": owner["metadata"]["name"]}
    return [{**names, "uid": owner["metadata"]["uid"], "controller": True}]


def job(cluster: Cluster) -> str:
    """Return the manifest of the job that pulls models."""
    template = {**pod(), "spec": {**pod()["spec"], "restartPolicy": "Never"}}
    return of_stack(cluster, "Job", "models-1", {"suspend": False, "template": template}, "batch/v1")


def test_failed_job_is_shown_in_the_diff_and_created_again(api_server: Kubernetes, cluster: Cluster) -> None:
    settings = cluster.settings
    remote = replace(cluster, settings=replace(settings, compute=replace(settings.compute, provider="none")))
    cluster.kubectl.apply(job(cluster))
    (first,) = cluster.kubectl.objects("jobs.batch")
    assert kubernetes.changes(remote, job(cluster), [first]) == ""
    conditions = [{"type": kind, "status": "True"} for kind in ("FailureTarget", "Failed")]
    set_status(api_server, cluster, "job/models-1", startTime="2026-01-01T00:00:00Z", conditions=conditions)

    live = cluster.kubectl.objects("jobs.batch")
    diff = kubernetes.changes(remote, job(cluster), live)
    assert objects.summary(diff) == [("~", "job.batch/models-1", [])]
    assert "the job has failed and is created again" in diff
    assert kubernetes.changes(cluster, job(cluster), live) == ""  # for a local cluster, this machine pulls the models
    kubernetes.send(remote, job(cluster), live)
    (second,) = cluster.kubectl.objects("jobs.batch")
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    assert rollout.job_state(second) == "running"


def test_job_is_suspended_by_stop_and_resumed_by_start_and_apply(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def suspended() -> bool:
        (live,) = cluster.kubectl.objects("jobs.batch")
        return bool(live["spec"]["suspend"])

    monkeypatch.setattr(rollout, "wait", lambda *_, **__: None)  # no pods run here
    cluster.kubectl.apply(deployment(cluster, pod(), replicas=1))
    cluster.kubectl.apply(job(cluster))
    scaling.stop(cluster)
    assert suspended()
    scaling.start(cluster, seconds=1)
    assert not suspended()
    scaling.stop(cluster)
    cluster.kubectl.apply(job(cluster))
    assert not suspended()


def test_rollout_reports_why_a_pod_cannot_be_created(api_server: Kubernetes, cluster: Cluster) -> None:
    cluster.kubectl.apply(deployment(cluster, pod(), replicas=1))
    message = 'pods "devai-1-x" is forbidden: exceeded quota: small'
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    set_status(api_server, cluster, "deployment/devai", observedGeneration=1, conditions=[failure])
    with pytest.raises(DevaiError, match=message):
        rollout.wait(cluster.kubectl, ["devai"], seconds=0)


def test_rollout_reports_readiness_gates_and_events_that_a_pod_waits_for(
    api_server: Kubernetes, cluster: Cluster
) -> None:
    cluster.kubectl.apply(deployment(cluster, pod(), replicas=1))
    owner, gate = roll(cluster, pod(), revision=1), "target-health.elbv2.k8s.aws/devai"
    spec = {**pod()["spec"], "readinessGates": [{"conditionType": gate}]}
    cluster.kubectl.apply(of_stack(cluster, "Pod", "devai-1-a", spec, "v1", ownerReferences=owned_by(owner)))
    not_yet = {"type": gate, "status": "False", "message": "Health checks failed with these codes: [502]"}
    ready = {"type": "Ready", "status": "False", "reason": "ReadinessGatesNotReady", "message": "not all of its gates"}
    container = {
        "name": "devai",
        "image": "i",
        "imageID": "i",
        "ready": True,
        "restartCount": 0,
        "state": {"running": {}},
    }
    conditions = [not_yet, ready, {"type": "PodScheduled", "status": "True"}]
    set_status(
        api_server, cluster, "pod/devai-1-a", phase="Running", conditions=conditions, containerStatuses=[container]
    )
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    cluster.kubectl.apply(of_stack(cluster, "PersistentVolumeClaim", "home", claim, "v1"))
    warning = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "one"}, "type": "Warning"}
    warning |= {"reason": "ProvisioningFailed", "message": "no such class"}
    warning |= {"involvedObject": {"kind": "PersistentVolumeClaim", "name": "home", "namespace": cluster.namespace}}
    cluster.kubectl.apply(json.dumps(warning))
    assert rollout.explain(cluster.kubectl, ["devai"]) == [
        "devai-1-a: Running",
        f"  {not_yet['message']}",
        f"  {ready['message']}",
        "home: ProvisioningFailed: no such class",
    ]


def test_field_that_a_rollback_restored_is_removed_by_an_apply_without_it(cluster: Cluster) -> None:
    def labels() -> dict[str, str]:
        (live,) = cluster.kubectl.objects("deployments.apps")
        return dict(live["spec"]["template"]["metadata"]["labels"])

    without_label, with_label = (deployment(cluster, pod(**extra), replicas=1) for extra in ({}, {"extra": "yes"}))
    cluster.kubectl.apply(with_label)
    roll(cluster, pod(extra="yes"), revision=1)
    cluster.kubectl.apply(without_label)
    roll(cluster, pod(), revision=2)
    cluster.kubectl.undo("devai", revision=1)
    assert labels() == {**NAMES, "extra": "yes"}
    cluster.kubectl.apply(without_label)
    assert labels() == NAMES
    assert cluster.kubectl.diff(without_label) == ""
