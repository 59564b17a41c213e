"""kubectl adapter. kubectl is a fake: a script that prints the output of the test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from devai_tasks.system.errors import ToolError
from devai_tasks.targets.kubernetes.kubectl import Kubectl

Fake = Callable[[str], Kubectl]


@pytest.fixture
def fake_kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Return a function that puts a fake kubectl on PATH, which runs lines of shell."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def make(lines: str) -> Kubectl:
        program = tmp_path / "kubectl"
        program.write_text(f"#!/bin/sh\n{lines}\n", encoding="utf-8")
        program.chmod(0o755)
        return Kubectl("context", "namespace")

    return make


def test_changes_are_returned_complete_and_as_they_happen(fake_kubectl: Fake) -> None:
    """The fake prints two objects at once, then a third object in two parts, and stops."""
    kubectl = fake_kubectl("""printf '{"name": "a"}\\n{"name": "b"}\\n'
sleep 0.5
printf '{"name": '
sleep 0.5
printf '"c"}\\n'""")
    with kubectl.changes("deployments.apps") as changed:
        assert [item["name"] for item in changed(10)] == ["a", "b"]
        assert changed(0) == []
        assert [item["name"] for item in changed(10)] == ["c"]
        assert changed(0.1) == []  # the output has ended


def test_starting_pod_does_not_hide_the_logs_of_other_pods(fake_kubectl: Fake) -> None:
    kubectl = fake_kubectl("""waiting='error: container "lab" is waiting to start: ContainerCreating'
case "$*" in
  *--ignore-errors*) echo "$waiting"; echo ready ;;
  *) echo "$waiting" >&2; exit 1 ;;
esac""")
    first, second = kubectl.follow_logs("app=devai", follow=False, tail="all")
    assert "ContainerCreating" in first
    assert second == "ready"


FORWARDS = """echo 'E1 memcache.go:287] "Unhandled Error" err="no list of resources"' >&2
echo 'Forwarding from 127.0.0.1:40123 -> 8888'
"""


def test_forwarded_port_is_found_after_other_output(fake_kubectl: Fake) -> None:
    with fake_kubectl(f"{FORWARDS} exec sleep 60").port_forward("pod/devai-1", "http", local=0) as port:
        assert port == 40123


def test_lost_connection_to_a_pod_is_reported(fake_kubectl: Fake) -> None:
    failure = "yes 'Handling connection for 40123' | head -20; echo 'error: lost connection to pod' >&2; exit 1"
    kubectl = fake_kubectl(FORWARDS + failure)
    with (
        kubectl.port_forward("pod/devai-1", "http", local=0),
        pytest.raises(ToolError, match="error: lost connection to pod\nthe pod has stopped; run the command again"),
    ):
        kubectl.stay()


def test_failed_port_forward_is_reported_with_its_reason(fake_kubectl: Fake) -> None:
    kubectl = fake_kubectl("echo 'a notice' >&2; echo 'unable to listen on any of the requested ports' >&2; exit 1")
    with (
        pytest.raises(ToolError, match="a notice\nunable to listen on any"),
        kubectl.port_forward("pod/devai-1", "http", local=8888),
    ):
        pass


def test_interactive_deletion_is_confirmed(fake_kubectl: Fake) -> None:
    kubectl = fake_kubectl('read -r answer; [ "$answer" = y ] && echo deleted || echo cancelled')
    assert kubectl.delete(["secret/devai"], wait=False) == ["deleted"]


def test_diff_ignores_an_external_diff_program(fake_kubectl: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECTL_EXTERNAL_DIFF", "meld")
    kubectl = fake_kubectl('[ -z "$KUBECTL_EXTERNAL_DIFF" ] || exit 0; echo +changed; exit 1')
    assert kubectl.diff("") == "+changed\n"


@pytest.mark.parametrize(
    ("message", "is_role"),
    [
        ('pods is forbidden: User "x" cannot list resource "pods" in API group "" in the namespace "lab"', True),
        ('pods "devai" is forbidden: exceeded quota: lab, requested: cpu=2, used: cpu=3, limited: cpu=4', False),
        ('persistentvolumeclaims "home" is forbidden: only dynamically provisioned pvc can be resized', False),
    ],
)
def test_missing_role_is_distinguished_from_other_refusals(fake_kubectl: Fake, message: str, is_role: bool) -> None:
    kubectl = fake_kubectl(f"echo 'Error from server (Forbidden): {message}' >&2; exit 1")
    with pytest.raises(ToolError, match="forbidden") as refused:
        kubectl.objects("pods")
    assert ("your role in the cluster does not allow this" in str(refused.value)) is is_role
