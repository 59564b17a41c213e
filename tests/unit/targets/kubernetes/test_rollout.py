"""Waiting for a rollout over an unreliable connection. kubectl is a fake that answers only the third call."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from devai_tasks.system.errors import ToolError
from devai_tasks.targets.kubernetes import rollout
from devai_tasks.targets.kubernetes.kubectl import Kubectl

READY = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
LAB = {"kind": "Deployment", "metadata": {"name": "devai", "generation": 1}, "spec": {"replicas": 1}, "status": READY}
JOB = {
    "kind": "Job",
    "metadata": {"name": "models-1", "creationTimestamp": "2026-01-01T00:00:00Z"},
    "status": {"conditions": [{"type": "Complete", "status": "True"}]},
}


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kubectl:
    """Put a fake kubectl on PATH: watches fail, and the first two other calls fail."""
    program = tmp_path / "kubectl"
    program.write_text(
        """#!/bin/sh
case "$*" in *--watch*) exit 1 ;; esac
echo . >>"$0.calls"
if [ "$(wc -l <"$0.calls")" -lt 3 ]; then
    echo 'net/http: TLS handshake timeout' >&2
    exit 1
fi
cat "$0.json"
""",
        encoding="utf-8",
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(rollout, "_POLL_SECONDS", 0.1)
    return Kubectl("context", "namespace")


def put(folder: Path, *items: dict[str, Any]) -> None:
    """Set the objects on the server."""
    (folder / "kubectl.json").write_text(json.dumps({"items": items}), encoding="utf-8")


def test_wait_for_a_rollout_continues_after_a_connection_failure(tmp_path: Path, kubectl: Kubectl) -> None:
    put(tmp_path, LAB)
    rollout.wait(kubectl, ["devai"], seconds=10)


def test_wait_for_the_models_job_continues_after_a_connection_failure(tmp_path: Path, kubectl: Kubectl) -> None:
    put(tmp_path, JOB)
    assert rollout.wait_for_models(kubectl, seconds=10) == ("done", [])


def test_longer_connection_failure_is_reported(kubectl: Kubectl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout, "_SILENCE_SECONDS", 0)
    with pytest.raises(ToolError, match="TLS handshake timeout"):
        rollout.wait(kubectl, ["devai"], seconds=10)
