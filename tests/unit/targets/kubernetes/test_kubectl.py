"""What kubectl prints, with a program in its place that prints what the test says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from devai_tasks.system.errors import ToolError
from devai_tasks.targets.kubernetes.kubectl import Kubectl

Saying = Callable[[str], Kubectl]


@pytest.fixture
def saying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Saying:
    """Have a kubectl that runs some lines of shell."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def make(lines: str) -> Kubectl:
        program = tmp_path / "kubectl"
        program.write_text(f"#!/bin/sh\n{lines}\n", encoding="utf-8")
        program.chmod(0o755)
        return Kubectl("context", "namespace")

    return make


def test_changes_come_whole_and_as_they_happen(saying: Saying) -> None:
    """Two objects at once, a third one in two pieces, and the end."""
    watching = saying("""printf '{"name": "a"}\\n{"name": "b"}\\n'
sleep 0.5
printf '{"name": '
sleep 0.5
printf '"c"}\\n'""")
    with watching.changes("deployments.apps") as changed:
        assert [found["name"] for found in changed(10)] == ["a", "b"]
        assert changed(0) == []
        assert [found["name"] for found in changed(10)] == ["c"]
        assert changed(0.1) == []  # and nothing is there to wait for any more


def test_a_pod_that_is_still_starting_does_not_hide_what_others_print(saying: Saying) -> None:
    logs = saying("""waiting='error: container "lab" is waiting to start: ContainerCreating'
case "$*" in
  *--ignore-errors*) echo "$waiting"; echo ready ;;
  *) echo "$waiting" >&2; exit 1 ;;
esac""")
    first, second = logs.follow_logs("app=devai", follow=False, tail="all")
    assert "ContainerCreating" in first
    assert second == "ready"


FORWARDS = """echo 'E1 memcache.go:287] "Unhandled Error" err="no list of resources"' >&2
echo 'Forwarding from 127.0.0.1:40123 -> 8888'
"""


def test_a_port_is_found_behind_what_others_say_first(saying: Saying) -> None:
    with saying(f"{FORWARDS} exec sleep 60").port_forward("pod/devai-1", "http", local=0) as port:
        assert port == 40123


def test_a_port_that_leads_nowhere_any_more_says_so(saying: Saying) -> None:
    ending = "yes 'Handling connection for 40123' | head -20; echo 'error: lost connection to pod' >&2; exit 1"
    forwarding = saying(FORWARDS + ending)
    with (
        forwarding.port_forward("pod/devai-1", "http", local=0),
        pytest.raises(ToolError, match="error: lost connection to pod\nthe pod has stopped; run the command again"),
    ):
        forwarding.stay()


def test_a_port_that_cannot_be_had_says_why(saying: Saying) -> None:
    taken = saying("echo 'a notice' >&2; echo 'unable to listen on any of the requested ports' >&2; exit 1")
    with (
        pytest.raises(ToolError, match="a notice\nunable to listen on any"),
        taken.port_forward("pod/devai-1", "http", local=8888),
    ):
        pass


def test_who_has_kubectl_ask_before_it_deletes_has_been_asked(saying: Saying) -> None:
    asking = saying('read -r answer; [ "$answer" = y ] && echo deleted || echo cancelled')
    assert asking.delete(["secret/devai"], wait=False) == ["deleted"]


def test_a_diff_is_printed_also_for_who_looks_at_diffs_in_a_window(
    saying: Saying, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECTL_EXTERNAL_DIFF", "meld")
    comparing = saying('[ -z "$KUBECTL_EXTERNAL_DIFF" ] || exit 0; echo +changed; exit 1')
    assert comparing.diff("") == "+changed\n"


@pytest.mark.parametrize(
    ("said", "role"),
    [
        ('pods is forbidden: User "x" cannot list resource "pods" in API group "" in the namespace "lab"', True),
        ('pods "devai" is forbidden: exceeded quota: lab, requested: cpu=2, used: cpu=3, limited: cpu=4', False),
        ('persistentvolumeclaims "home" is forbidden: only dynamically provisioned pvc can be resized', False),
    ],
)
def test_only_who_lacks_a_role_is_told_so(saying: Saying, said: str, role: bool) -> None:
    refusing = saying(f"echo 'Error from server (Forbidden): {said}' >&2; exit 1")
    with pytest.raises(ToolError, match="forbidden") as refused:
        refusing.objects("pods")
    assert ("your role in the cluster does not allow this" in str(refused.value)) is role
