"""Deployment in a cluster; fakes of kubectl's functions record the calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import pytest
from harness.settings import load

from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.system.errors import DevaiError
from devai_tasks.system.process import Result
from devai_tasks.targets.kubernetes import deployment as kubernetes
from devai_tasks.targets.kubernetes import secrets as cluster_secrets
from devai_tasks.targets.kubernetes import status as cluster_status
from devai_tasks.targets.kubernetes.deployment import Cluster
from devai_tasks.targets.kubernetes.kubectl import Kubectl
from devai_tasks.targets.kubernetes.secrets import SecretChanges
from devai_tasks.workspace import state

Patch = pytest.MonkeyPatch


@pytest.fixture
def cluster(shipped: Project, monkeypatch: Patch) -> Cluster:
    """Return the cluster of a stack whose context exists."""
    monkeypatch.setattr(Kubectl, "check_context", lambda _: None)
    return Cluster(shipped, load(shipped, Stack("dev", "local")))


def pod(name: str, phase: str = "Running", *, ready: bool = True, terminating: bool = False) -> dict[str, Any]:
    """Return a pod with two containers, of which the second one is ready."""
    metadata = {"name": name, "creationTimestamp": "2026-01-01T00:00:00Z"}
    metadata |= {"deletionTimestamp": "2026-01-02T00:00:00Z"} if terminating else {}
    containers = [{"ready": ready, "state": {}}, {"ready": True, "state": {}}]
    conditions = [{"type": "Ready", "status": str(ready)}]
    status = {"phase": phase, "conditions": conditions, "containerStatuses": containers}
    return {"kind": "Pod", "metadata": metadata, "spec": {}, "status": status}


def shell(cluster: Cluster) -> None:
    kubernetes.execute(cluster, "devai", ["bash"])


def port(cluster: Cluster) -> None:
    with kubernetes.port_of(cluster, "devai"):
        pass


@pytest.mark.parametrize("action", [shell, port])
@pytest.mark.parametrize(
    ("pods", "selected"),
    [
        ([pod("old", terminating=True), pod("starting", ready=False)], "pod/starting"),
        ([pod("starting", ready=False), pod("running")], "pod/running"),
        ([pod("pending", "Pending", ready=False), pod("starting", ready=False)], "pod/starting"),
    ],
)
def test_shell_and_port_forward_select_a_pod_that_is_not_terminating(
    cluster: Cluster, monkeypatch: Patch, action: Callable[[Cluster], None], pods: Sequence[object], selected: str
) -> None:
    calls: list[str] = []

    def port_forward(_: Kubectl, name: str, *__: object, **___: object) -> nullcontext[int]:
        calls.append(name)
        return nullcontext(0)

    monkeypatch.setattr(Kubectl, "objects", lambda *_: pods)
    monkeypatch.setattr(Kubectl, "execute", lambda _, name, __: calls.append(name))
    monkeypatch.setattr(Kubectl, "port_forward", port_forward)
    action(cluster)
    assert calls == [selected]


@pytest.mark.parametrize("action", [shell, port])
def test_missing_pod_is_reported(cluster: Cluster, monkeypatch: Patch, action: Callable[[Cluster], None]) -> None:
    monkeypatch.setattr(
        Kubectl, "objects", lambda *_: [pod("old", terminating=True), pod("pending", "Pending", ready=False)]
    )
    with pytest.raises(DevaiError, match="no pod of devai is running"):
        action(cluster)


def test_ingress_is_deleted_before_its_class(cluster: Cluster, monkeypatch: Patch) -> None:
    """AWS's webhook refuses to delete an ingress without a class: kubernetes-sigs/aws-load-balancer-controller#4341."""
    kinds = ("IngressClass", "Ingress", "Secret", "Deployment")
    objects = [{"apiVersion": "v1", "kind": kind, "metadata": {"name": "devai"}} for kind in kinds]
    deleted: list[Sequence[str]] = []

    def delete(_: Kubectl, names: Sequence[str], *, wait: bool) -> list[str]:
        assert wait
        deleted.append(names)
        return []

    monkeypatch.setattr(Kubectl, "objects", lambda *_: objects)
    monkeypatch.setattr(Kubectl, "delete", delete)
    kubernetes.delete(cluster, data=False)
    assert [names for names in deleted if names] == [["ingress/devai", "deployment/devai"], ["ingressclass/devai"]]


def test_state_of_a_pod_has_its_phase_and_readiness(cluster: Cluster, monkeypatch: Patch) -> None:
    monkeypatch.setattr(
        Kubectl, "objects", lambda *_: [pod("old", terminating=True), pod("new", ready=False), pod("running")]
    )
    states = [row["state"] for row in cluster_status.rows(cluster)]
    assert states == ["terminating, ready", "Running, not ready", "Running, ready"]


def test_secret_of_another_field_manager_is_removed(cluster: Cluster, monkeypatch: Patch) -> None:
    """`kubectl create secret` has created the key, so server-side apply does not remove it."""
    calls: list[str] = []

    def call(_: Kubectl, argv: Sequence[str], stdin: str | None) -> Result:
        calls.append(" ".join(argv))
        assert "OLD" not in (stdin or "")
        return Result(tuple(argv), 0, b"")

    monkeypatch.setattr(Kubectl, "_call", call)
    changes = SecretChanges({"JUPYTER_TOKEN": "token", "OLD": "x"}, {"JUPYTER_TOKEN": "token"})
    assert changes.shown == "secret OLD: removed"
    cluster_secrets.send(cluster, changes)
    removed, applied = calls
    assert removed == 'patch secret/devai --type=merge --patch={"data": {"OLD": null}}'
    assert applied.startswith("apply ")


def test_rotated_token_of_a_local_cluster_differs_from_the_one_in_compose(project: Project, monkeypatch: Patch) -> None:
    cluster = Cluster(project, load(project, Stack("dev", "local"), environ={}))
    monkeypatch.setattr(cluster_secrets, "stored", lambda *_: {"JUPYTER_TOKEN": "leaked", "OPENAI_API_KEY": "a-key"})
    compose = state.token(cluster.project, cluster.settings.stack)
    changes = cluster_secrets.renew(cluster)
    assert changes.changed == ["JUPYTER_TOKEN"]
    assert changes.desired["JUPYTER_TOKEN"] not in ("leaked", compose)
    assert state.token(cluster.project, cluster.settings.stack) == compose
