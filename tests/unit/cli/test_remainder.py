"""Arguments after `--`: every task refuses them, because Invoke ignores them, and prints what to type instead."""

from __future__ import annotations

from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

from devai_tasks.cli.collections import namespace
from devai_tasks.config.project import Project

Run = Callable[..., CompletedProcess[str]]

PLAIN_TERRAFORM = "`TF_DATA_DIR=../../../.devai/aws-dev/terraform/data terraform -chdir=deploy/terraform/aws …`"


def stack_flags(task: str) -> list[str]:
    """Return the flags that select a stack with the target of the task."""
    return ["--cloud=aws"] if task.startswith("tf.") and task not in ("tf.fmt", "tf.record") else []


@pytest.mark.parametrize("task", sorted(namespace.task_names))
def test_every_task_refuses_arguments_after_two_hyphens(project: Project, devai: Run, task: str) -> None:
    before = sorted(project.root.rglob("*"))
    result = devai(task, *(["somewhere"] if task == "new" else stack_flags(task)), "--", "--nonsense=1")
    assert result.returncode == 2
    assert f"{task}: arguments after -- are not passed on; nothing was done" in result.stderr
    assert f"--nonsense=1: not a flag of {task}; " in result.stderr
    assert "Traceback" not in result.stderr
    assert sorted(project.root.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tf.apply", "--cloud=aws", "--", "-target=module.x"], "-target=module.x: use `--resource=module.x`"),
        (["tf.plan", "--cloud=aws", "--", "-destroy"], "-destroy: use `--destroy`"),
        (["tf.plan", "--cloud=aws", "--", "-var", "a=b"], "-var=a=b: use `--set=section.key=value`"),
        (["tf.apply", "--cloud=aws", "--", "-auto-approve"], "-auto-approve: use `--yes`"),
        (["tf.destroy", "--cloud=aws", "--", "-target=module.x"], "-target=module.x: not a flag of tf.destroy; run"),
        (["tf.destroy", "--cloud=aws", "--", "-target=module.x"], PLAIN_TERRAFORM),
        (["k8s.delete", "--", "--dry-run=client"], "--dry-run=client: use `inv --dry k8s.delete`"),
        (["k8s.apply", "--", "--prune"], "`kubectl --context=kind-kind … -k generated/local-dev/kubernetes`"),
        (["compose.logs", "--", "--tail", "5"], "--tail=5: use `--tail=5`, without the --"),
        (["compose.logs", "--", "devai", "-f"], "devai: use `--service=devai`"),
        (["compose.logs", "--", "devai", "-f"], "-f: use `--follow`"),
        (["compose.up", "--", "--build"], "`docker compose --env-file generated/local-dev/compose/.env …`"),
        (["up", "--", "--build"], "`inv --dry up --env=dev --cloud=local` prints the plain commands, to run in "),
        (["config.schema", "--", "--yaml"], "`inv --help config.schema` lists its flags"),
    ],
)
def test_message_names_the_flag_of_the_task_or_the_plain_command(
    devai: Run, arguments: list[str], message: str
) -> None:
    result = devai(*arguments)
    assert result.returncode == 2
    assert message in result.stderr


@pytest.mark.parametrize("program", ["inv", "devai"])
def test_both_programs_refuse_such_arguments_and_name_the_folder(project: Project, cli: Run, program: str) -> None:
    result = cli(program, "compose.down", "--data", "--confirm=local-dev", "--", "--timeout=1")
    assert result.returncode == 2
    assert f"run the tool in {project.root}: `docker compose " in result.stderr
