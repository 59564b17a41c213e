"""How a stack changes, rests and goes back, by an API server alone: what controllers write is written here."""

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
    """A stack whose namespace is there, with an account for pods, and nothing else."""
    if isinstance(api_server, Nodes):
        pytest.skip("its controllers would write something else")
    monkeypatch.setenv("KUBECONFIG", str(api_server.kubeconfig))
    monkeypatch.chdir(project.root)
    with api_server.namespace() as name:
        overrides = (f"kubernetes.context={api_server.context}", f"project.name={name}")
        found = Cluster(project, load(project, local_dev, overrides))
        for kind, it in (("Namespace", found.namespace), ("ServiceAccount", "default")):
            found.kubectl.apply(json.dumps({"apiVersion": "v1", "kind": kind, "metadata": {"name": it}}))
        yield found
        api_server.kubectl("delete", "namespace", found.namespace, "--wait=false")


def of_stack(
    cluster: Cluster, kind: str, name: str, spec: Mapping[str, Any], version: str = "apps/v1", **metadata: Any
) -> str:
    """An object with the stack's label, as a manifest."""
    metadata |= {"name": name, "labels": {STACK_LABEL: cluster.namespace, **NAMES}}
    return json.dumps({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec})


def pod(**labels: str) -> dict[str, Any]:
    """A template of pods."""
    container = {"name": "devai", "image": "lab.invalid/lab:1"}
    return {"metadata": {"labels": {**NAMES, **labels}}, "spec": {"containers": [container]}}


def deployment(cluster: Cluster, template: Mapping[str, Any], **spec: Any) -> str:
    """The lab's workload."""
    return of_stack(cluster, "Deployment", "devai", {"selector": {"matchLabels": NAMES}, "template": template, **spec})


def has(api_server: Kubernetes, cluster: Cluster, name: str, **status: Any) -> None:
    """Have an object be in a state that a controller or a node would have written."""
    patch = ("--subresource=status", "--type=merge", f"--patch={json.dumps({'status': status})}")
    done = api_server.kubectl("patch", name, f"--namespace={cluster.namespace}", *patch)
    assert done.returncode == 0, done.stderr


def test_labs_that_an_autoscaler_added_since_a_person_was_asked_stay(cluster: Cluster) -> None:
    cluster.kubectl.apply(deployment(cluster, pod(), replicas=2))
    there = cluster.kubectl.objects("deployments.apps")
    cluster.kubectl.scale(["devai"], 5)
    kubernetes.send(cluster, deployment(cluster, pod(changed="yes")), there)
    (found,) = cluster.kubectl.objects("deployments.apps")
    assert found["spec"]["replicas"] == 5
    assert found["spec"]["template"]["metadata"]["labels"]["changed"] == "yes"


def test_a_stack_has_stopped_though_pods_that_were_evicted_are_still_listed(
    api_server: Kubernetes, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scaling, "_END_SECONDS", 3)
    cluster.kubectl.apply(deployment(cluster, pod(), replicas=1))
    cluster.kubectl.apply(of_stack(cluster, "Pod", "devai-evicted", pod()["spec"], "v1"))
    with pytest.raises(ToolError, match="timed out"):
        scaling.stop(cluster)  # it has not ended yet
    has(api_server, cluster, "pod/devai-evicted", phase="Failed", reason="Evicted")
    scaling.stop(cluster)
    (found,) = cluster.kubectl.objects("deployments.apps")
    assert found["spec"]["replicas"] == 0


def roll(cluster: Cluster, template: Mapping[str, Any], *, revision: int) -> dict[str, Any]:
    """Have the workload at a revision, with the replica set of it, as the controller would."""
    (owner,) = cluster.kubectl.objects("deployments.apps")
    numbered = {"annotations": {rollout.REVISION: str(revision)}}
    at = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "devai", **numbered}}
    cluster.kubectl.apply(json.dumps(at), manager="controller")
    labels = {**template["metadata"]["labels"], "pod-template-hash": str(revision)}
    spec = {"selector": {"matchLabels": labels}, "template": {**template, "metadata": {"labels": labels}}}
    metadata: dict[str, Any] = {**numbered, "ownerReferences": owned_by(owner)}
    cluster.kubectl.apply(of_stack(cluster, "ReplicaSet", f"devai-{revision}", spec, **metadata))
    return cluster.kubectl.object("replicaset", f"devai-{revision}") or {}


def owned_by(owner: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What says of an object who made it."""
    names = {"apiVersion": "apps/v1", "kind": owner["kind"], "name": owner["metadata"]["name"]}
    return [{**names, "uid": owner["metadata"]["uid"], "controller": True}]


def job(cluster: Cluster) -> str:
    """The one that brings models, which nothing has changed."""
    template = {**pod(), "spec": {**pod()["spec"], "restartPolicy": "Never"}}
    return of_stack(cluster, "Job", "models-1", {"suspend": False, "template": template}, "batch/v1")


def test_a_job_that_has_failed_is_shown_and_made_again(api_server: Kubernetes, cluster: Cluster) -> None:
    settings = cluster.settings
    elsewhere = replace(cluster, settings=replace(settings, compute=replace(settings.compute, provider="none")))
    cluster.kubectl.apply(job(cluster))
    (first,) = cluster.kubectl.objects("jobs.batch")
    assert kubernetes.changes(elsewhere, job(cluster), [first]) == ""
    conditions = [{"type": kind, "status": "True"} for kind in ("FailureTarget", "Failed")]
    has(api_server, cluster, "job/models-1", startTime="2026-01-01T00:00:00Z", conditions=conditions)

    there = cluster.kubectl.objects("jobs.batch")
    shown = kubernetes.changes(elsewhere, job(cluster), there)
    assert objects.summary(shown) == [("~", "job.batch/models-1", [])]
    assert "the job has failed and is created again" in shown
    assert kubernetes.changes(cluster, job(cluster), there) == ""  # a local one's models are brought from here
    kubernetes.send(elsewhere, job(cluster), there)
    (second,) = cluster.kubectl.objects("jobs.batch")
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    assert rollout.job_state(second) == "running"


def test_a_job_rests_with_its_stack_and_goes_on_with_it(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    def suspended() -> bool:
        (found,) = cluster.kubectl.objects("jobs.batch")
        return bool(found["spec"]["suspend"])

    monkeypatch.setattr(rollout, "wait", lambda *_, **__: None)  # nothing runs here
    cluster.kubectl.apply(deployment(cluster, pod(), replicas=1))
    cluster.kubectl.apply(job(cluster))
    scaling.stop(cluster)
    assert suspended()
    scaling.start(cluster, seconds=1)
    assert not suspended()
    scaling.stop(cluster)
    cluster.kubectl.apply(job(cluster))
    assert not suspended()


def test_where_no_pod_can_be_made_the_workload_says_why(api_server: Kubernetes, cluster: Cluster) -> None:
    cluster.kubectl.apply(deployment(cluster, pod(), replicas=1))
    said = 'pods "devai-1-x" is forbidden: exceeded quota: small'
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": said}
    has(api_server, cluster, "deployment/devai", observedGeneration=1, conditions=[failure])
    with pytest.raises(DevaiError, match=said):
        rollout.wait(cluster.kubectl, ["devai"], seconds=0)


def test_what_a_pod_waits_for_outside_of_it_is_said(api_server: Kubernetes, cluster: Cluster) -> None:
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
    has(api_server, cluster, "pod/devai-1-a", phase="Running", conditions=conditions, containerStatuses=[container])
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


def test_what_a_rollback_brought_back_goes_with_the_next_apply_that_lacks_it(cluster: Cluster) -> None:
    def labels() -> dict[str, str]:
        (found,) = cluster.kubectl.objects("deployments.apps")
        return dict(found["spec"]["template"]["metadata"]["labels"])

    without, having = (deployment(cluster, pod(**extra), replicas=1) for extra in ({}, {"extra": "yes"}))
    cluster.kubectl.apply(having)
    roll(cluster, pod(extra="yes"), revision=1)
    cluster.kubectl.apply(without)
    roll(cluster, pod(), revision=2)
    cluster.kubectl.undo("devai", revision=1)
    assert labels() == {**NAMES, "extra": "yes"}
    cluster.kubectl.apply(without)
    assert labels() == NAMES
    assert cluster.kubectl.diff(without) == ""
