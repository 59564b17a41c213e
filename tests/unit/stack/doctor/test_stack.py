"""Checks of a stack's storage; test_checks.py tests all other checks."""

from __future__ import annotations

import pytest
from harness.settings import Sources

from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.stack.doctor import stack as check_stack
from devai_tasks.stack.doctor.checks import State


@pytest.mark.parametrize(
    ("environment", "storage", "hints"),
    [
        ("dev", "{}", ["storage.home_class", "--env=dev --cloud=own --set=storage.access=ReadWriteOnce"]),
        ("prod", "{}", ["storage.home_class"]),  # several replicas of the lab
        ("dev", "{access: ReadWriteOnce}", []),
        ("dev", "{home_class: nfs}", []),
    ],
)
def test_shared_home_on_the_default_storage_class_is_advice(
    project: Project, environment: str, storage: str, hints: list[str]
) -> None:
    (project.conf / "clouds" / "own.yaml").write_text(
        f"compute: {{provider: none}}\nkubernetes: {{context: kind-kind}}\nstorage: {storage}\n", encoding="utf-8"
    )
    checks = check_stack.home(Sources(project, environ={}).configuration(Stack(environment, "own")))
    assert [check.state for check in checks] == [State.ADVICE] * bool(hints)
    assert all(hint in check.hint for check in checks for hint in hints)
    assert all(("ReadWriteOnce" in check.hint) is (len(hints) > 1) for check in checks)
