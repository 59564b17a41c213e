"""How a stack changes, rests and goes back, by an API server alone: what controllers write is written here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from harness.kubernetes.api import Kubernetes

from devai_tasks.config.load import load
from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.errors import ToolFailed
from devai_tasks.operations import cluster as operations
from devai_tasks.operations import pauses
from devai_tasks.operations.cluster import Cluster
from devai_tasks.render.kubernetes import STACK_LABEL

NAMES = {"app.kubernetes.io/name": "devai"}


@pytest.fixture
def cluster(
    api_server: Kubernetes, project: Project, local_dev: Stack, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cluster]:
    """A stack whose namespace is there, with an account for pods, and nothing else."""
    monkeypatch.setenv("KUBECONFIG", str(api_server.kubeconfig))
    with api_server.namespace() as name:
        overrides = (f"kubernetes.context={api_server.context}", f"project.name={name}")
        found = Cluster(project, load(project, local_dev, overrides))
        for kind, it in (("Namespace", found.namespace), ("ServiceAccount", "default")):
            found.kubectl.apply(json.dumps({"apiVersion": "v1", "kind": kind, "metadata": {"name": it}}))
        yield found
        api_server.kubectl("delete", "namespace", found.namespace, "--wait=false")


def of_stack(cluster: Cluster, kind: str, name: str, spec: Mapping[str, Any], version: str = "apps/v1") -> str:
    """An object with the stack's label, as a manifest."""
    metadata = {"name": name, "labels": {STACK_LABEL: cluster.namespace, **NAMES}}
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
    operations.send(cluster, deployment(cluster, pod(changed="yes")), there)
    (found,) = cluster.kubectl.objects("deployments.apps")
    assert found["spec"]["replicas"] == 5
    assert found["spec"]["template"]["metadata"]["labels"]["changed"] == "yes"


def test_a_stack_has_stopped_though_pods_that_were_evicted_are_still_listed(
    api_server: Kubernetes, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pauses, "_END_SECONDS", 3)
    cluster.kubectl.apply(deployment(cluster, pod(), replicas=1))
    cluster.kubectl.apply(of_stack(cluster, "Pod", "devai-evicted", pod()["spec"], "v1"))
    with pytest.raises(ToolFailed, match="timed out"):
        pauses.stop(cluster)  # it has not ended yet
    has(api_server, cluster, "pod/devai-evicted", phase="Failed", reason="Evicted")
    pauses.stop(cluster)
    (found,) = cluster.kubectl.objects("deployments.apps")
    assert found["spec"]["replicas"] == 0
