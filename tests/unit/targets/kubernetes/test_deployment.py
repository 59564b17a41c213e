"""Stacks in a cluster, with what kubectl would be asked in place of one."""

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
def own(shipped: Project, monkeypatch: Patch) -> Cluster:
    """A stack whose context is there."""
    monkeypatch.setattr(Kubectl, "check_context", lambda _: None)
    return Cluster(shipped, load(shipped, Stack("dev", "local")))


def pod(name: str, phase: str = "Running", *, ready: bool = True, leaves: bool = False) -> dict[str, Any]:
    """One with a second container beside what may not be ready."""
    metadata = {"name": name, "creationTimestamp": "2026-01-01T00:00:00Z"}
    metadata |= {"deletionTimestamp": "2026-01-02T00:00:00Z"} if leaves else {}
    containers = [{"ready": ready, "state": {}}, {"ready": True, "state": {}}]
    conditions = [{"type": "Ready", "status": str(ready)}]
    status = {"phase": phase, "conditions": conditions, "containerStatuses": containers}
    return {"kind": "Pod", "metadata": metadata, "spec": {}, "status": status}


def shell(own: Cluster) -> None:
    kubernetes.execute(own, "devai", ["bash"])


def port(own: Cluster) -> None:
    with kubernetes.port_of(own, "devai"):
        pass


@pytest.mark.parametrize("way", [shell, port])
@pytest.mark.parametrize(
    ("pods", "taken"),
    [
        ([pod("old", leaves=True), pod("starts", ready=False)], "pod/starts"),
        ([pod("starts", ready=False), pod("runs")], "pod/runs"),
        ([pod("waits", "Pending", ready=False), pod("starts", ready=False)], "pod/starts"),
    ],
)
def test_a_shell_and_a_port_lead_to_the_pod_that_stays(
    own: Cluster, monkeypatch: Patch, way: Callable[[Cluster], None], pods: Sequence[object], taken: str
) -> None:
    asked: list[str] = []

    def port_forward(_: Kubectl, name: str, *__: object, **___: object) -> nullcontext[int]:
        asked.append(name)
        return nullcontext(0)

    monkeypatch.setattr(Kubectl, "objects", lambda *_: pods)
    monkeypatch.setattr(Kubectl, "execute", lambda _, name, __: asked.append(name))
    monkeypatch.setattr(Kubectl, "port_forward", port_forward)
    way(own)
    assert asked == [taken]


@pytest.mark.parametrize("way", [shell, port])
def test_where_no_pod_stays_that_is_said(own: Cluster, monkeypatch: Patch, way: Callable[[Cluster], None]) -> None:
    monkeypatch.setattr(Kubectl, "objects", lambda *_: [pod("old", leaves=True), pod("waits", "Pending", ready=False)])
    with pytest.raises(DevaiError, match="no pod of devai is running"):
        way(own)


def test_an_ingress_is_gone_before_its_class_goes(own: Cluster, monkeypatch: Patch) -> None:
    """AWS's webhook refuses to let go of one without: kubernetes-sigs/aws-load-balancer-controller#4341."""
    kinds = ("IngressClass", "Ingress", "Secret", "Deployment")
    there = [{"apiVersion": "v1", "kind": kind, "metadata": {"name": "devai"}} for kind in kinds]
    gone: list[Sequence[str]] = []

    def delete(_: Kubectl, names: Sequence[str], *, wait: bool) -> list[str]:
        assert wait
        gone.append(names)
        return []

    monkeypatch.setattr(Kubectl, "objects", lambda *_: there)
    monkeypatch.setattr(Kubectl, "delete", delete)
    kubernetes.delete(own, data=False)
    assert [names for names in gone if names] == [["ingress/devai", "deployment/devai"], ["ingressclass/devai"]]


def test_a_pod_that_ends_or_answers_in_part_is_shown_as_that(own: Cluster, monkeypatch: Patch) -> None:
    monkeypatch.setattr(Kubectl, "objects", lambda *_: [pod("old", leaves=True), pod("new", ready=False), pod("runs")])
    states = [row["state"] for row in cluster_status.rows(own)]
    assert states == ["terminating, ready", "Running, not ready", "Running, ready"]


def test_a_secret_that_somebody_else_put_there_goes_when_it_is_said_to(own: Cluster, monkeypatch: Patch) -> None:
    """As `kubectl create secret` did: it belongs to another manager, and applying the rest leaves it where it is."""
    asked: list[str] = []

    def call(_: Kubectl, words: Sequence[str], given: str | None) -> Result:
        asked.append(" ".join(words))
        assert "OLD" not in (given or "")
        return Result(tuple(words), 0, b"")

    monkeypatch.setattr(Kubectl, "_call", call)
    sending = SecretChanges({"JUPYTER_TOKEN": "token", "OLD": "x"}, {"JUPYTER_TOKEN": "token"})
    assert sending.shown == "secret OLD: removed"
    cluster_secrets.send(own, sending)
    removed, applied = asked
    assert removed == 'patch secret/devai --type=merge --patch={"data": {"OLD": null}}'
    assert applied.startswith("apply ")


def test_another_token_for_a_local_cluster_is_not_that_of_the_lab_in_compose(
    project: Project, monkeypatch: Patch
) -> None:
    own = Cluster(project, load(project, Stack("dev", "local"), environ={}))
    monkeypatch.setattr(cluster_secrets, "stored", lambda *_: {"JUPYTER_TOKEN": "leaked", "OPENAI_API_KEY": "a-key"})
    compose = state.token(own.project, own.settings.stack)
    sending = cluster_secrets.renew(own)
    assert sending.changed == ["JUPYTER_TOKEN"]
    assert sending.desired["JUPYTER_TOKEN"] not in ("leaked", compose)
    assert state.token(own.project, own.settings.stack) == compose
