"""What a stack itself lacks, beside what all checks have in common (test_checks.py)."""

from __future__ import annotations

import pytest
from harness.settings import Sources

from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.stack.doctor import stack as check_stack
from devai_tasks.stack.doctor.checks import State


@pytest.mark.parametrize(
    ("environment", "storage", "ways"),
    [
        ("dev", "{}", ["storage.home_class", "--env=dev --cloud=own --set=storage.access=ReadWriteOnce"]),
        ("prod", "{}", ["storage.home_class"]),  # several labs
        ("dev", "{access: ReadWriteOnce}", []),
        ("dev", "{home_class: nfs}", []),
    ],
)
def test_a_home_that_few_default_classes_offer_is_pointed_out(
    project: Project, environment: str, storage: str, ways: list[str]
) -> None:
    (project.conf / "clouds" / "own.yaml").write_text(
        f"compute: {{provider: none}}\nkubernetes: {{context: kind-kind}}\nstorage: {storage}\n", encoding="utf-8"
    )
    checks = check_stack.home(Sources(project, environ={}).configuration(Stack(environment, "own")))
    assert [check.state for check in checks] == [State.ADVICE] * bool(ways)
    assert all(way in check.hint for check in checks for way in ways)
    assert all(("ReadWriteOnce" in check.hint) is (len(ways) > 1) for check in checks)
