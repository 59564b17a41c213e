"""What kubectl prints while it watches, with a program in its place that prints what the test says."""

from __future__ import annotations

from pathlib import Path

import pytest

from devai_tasks.tools.kubectl import Kubectl


@pytest.fixture
def watching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kubectl:
    """Two objects at once, a third one in two pieces, and the end."""
    program = tmp_path / "kubectl"
    program.write_text(
        """#!/bin/sh
printf '{"name": "a"}\\n{"name": "b"}\\n'
sleep 0.5
printf '{"name": '
sleep 0.5
printf '"c"}\\n'
""",
        encoding="utf-8",
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return Kubectl("context", "namespace")


def test_changes_come_whole_and_as_they_happen(watching: Kubectl) -> None:
    with watching.changes("deployments.apps") as changed:
        assert [found["name"] for found in changed(10)] == ["a", "b"]
        assert changed(0) == []
        assert [found["name"] for found in changed(10)] == ["c"]
        assert changed(0.1) == []  # and nothing is there to wait for any more
