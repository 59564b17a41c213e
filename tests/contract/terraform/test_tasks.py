"""The tf tasks: refusals, stored files and messages."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from devai_tasks.config.project import Project

Run = Callable[..., CompletedProcess[str]]
STACK = ("--cloud=aws", "--offline")
HOST = "--set=ingress.host=other.example.org"
PUSHED = ("--set=image.registry=registry.example.org/lab", f"--set=image.digest=sha256:{'1' * 64}")


def plan_of(devai: Run, *flags: str) -> Any:
    result = devai("tf.plan", *STACK, "--json", *flags)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def ok(result: CompletedProcess[str]) -> CompletedProcess[str]:
    assert result.returncode == 0, result.stderr
    return result


def home(project: Project) -> Path:
    return project.root / ".devai/aws-dev/offline"


@pytest.mark.usefixtures("small")
def test_offline_results_name_provider_snapshots(devai: Run) -> None:
    note = "offline: aws-dev according to provider schema snapshots (aws 6.25.0"
    assert note in ok(devai("tf.validate", *STACK)).stderr
    assert note in ok(devai("tf.plan", *STACK)).stdout
    assert plan_of(devai)["note"].startswith(note)
    assert f"> {note}" in ok(devai("tf.plan", *STACK, "--markdown")).stdout
    assert note in ok(devai("tf.apply", *STACK, "--yes")).stdout
    for task in ("output", "state-list"):
        assert note in ok(devai(f"tf.{task}", *STACK)).stderr


@pytest.mark.usefixtures("small")
def test_output_before_apply_suggests_apply(devai: Run) -> None:
    result = devai("tf.output", *STACK, "--name=url")
    assert result.returncode == 1
    message = "aws-dev has no outputs yet; `inv tf.apply --env=dev --cloud=aws --offline` creates them"
    assert result.stderr.splitlines()[-1] == message


@pytest.mark.usefixtures("small")
def test_first_apply_without_image_skips_compute_and_prints_next_commands(devai: Run) -> None:
    planned = [change["address"] for change in plan_of(devai)["changes"]]
    assert "aws_ecr_repository.this" in planned
    assert not [address for address in planned if "service" in address]
    applied = ok(devai("tf.apply", *STACK, "--yes"))
    assert "`inv image.push --env=dev --cloud=aws`, then `inv tf.apply --env=dev --cloud=aws`" in applied.stderr
    assert [change["address"] for change in plan_of(devai, *PUSHED)["changes"]] == ["terraform_data.service[0]"]


def test_saved_plan_is_private_and_applied_unchanged(small: Project, devai: Run) -> None:
    ok(devai("tf.plan", *STACK, "--resource=aws_vpc.this"))
    saved = home(small) / "plan"
    assert saved.stat().st_mode & 0o777 == 0o600
    ok(devai("tf.apply", *STACK, "--yes"))
    assert ok(devai("tf.state-list", *STACK)).stdout == "aws_vpc.this\n"
    assert not saved.exists()


@pytest.mark.usefixtures("small")
def test_saved_plan_of_other_configuration_is_refused(devai: Run) -> None:
    ok(devai("tf.plan", *STACK))
    refused = devai("tf.apply", *STACK, "--yes", HOST)
    assert refused.returncode == 2
    assert "the configuration has changed since the plan was saved" in refused.stderr
    ok(devai("tf.plan", *STACK, HOST))
    ok(devai("tf.apply", *STACK, "--yes", HOST))


@pytest.mark.parametrize("file", ["aws/main.tf", "modules/storage/aws/main.tf", "modules/storage/start.sh"])
def test_saved_plan_of_older_files_is_refused(small: Project, devai: Run, file: str) -> None:
    """Include files that modules read with file()."""
    changed = small.root / "deploy/terraform" / file
    changed.touch()
    ok(devai("tf.plan", *STACK))
    changed.write_text(f"{changed.read_text(encoding='utf-8')}\n# later\n", encoding="utf-8")
    assert "the configuration has changed since the plan was saved" in devai("tf.apply", *STACK, "--yes").stderr


def test_saved_plan_of_older_state_is_refused_by_terraform(small: Project, devai: Run) -> None:
    ok(devai("tf.apply", *STACK, "--yes"))
    ok(devai("tf.plan", *STACK, HOST))
    file = home(small) / "terraform.tfstate"
    state = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**state, "serial": state["serial"] + 1}), encoding="utf-8")
    refused = devai("tf.apply", *STACK, "--yes", HOST)
    assert refused.returncode == 1
    assert "Saved plan is stale" in refused.stderr
    assert "create a new plan: `inv tf.plan`" in refused.stderr


@pytest.mark.usefixtures("small")
def test_apply_and_destroy_require_confirmation(devai: Run) -> None:
    assert devai("tf.apply", *STACK).returncode == 2
    assert ok(devai("tf.state-list", *STACK)).stdout == ""
    ok(devai("tf.apply", *STACK, "--yes"))
    assert devai("tf.destroy", *STACK).returncode == 2
    refused = devai("tf.destroy", *STACK, "--confirm=devai-aws-prod")
    assert refused.returncode == 2
    assert "'devai-aws-prod' is not devai-aws-dev; nothing was changed" in refused.stderr
    assert "aws_vpc.this" in devai("tf.state-list", *STACK).stdout


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("arguments", [("tf.destroy",), ("tf.destroy", "--data"), ("tf.plan", "--destroy")])
def test_protected_stack_cannot_be_destroyed(devai: Run, arguments: tuple[str, ...]) -> None:
    refused = devai(
        *arguments, *STACK, "--env=prod", "--confirm=devai-aws-prod" if "destroy" in arguments[0] else "--json"
    )
    assert refused.returncode == 2
    assert "aws-prod is protected (conf/profiles/prod.yaml:2:" in refused.stderr


@pytest.mark.usefixtures("small")
def test_protected_stack_requires_its_name_and_lists_removed_resources(devai: Run) -> None:
    prod = ("--cloud=aws", "--offline", "--env=prod")
    unnamed = devai("tf.apply", *prod, *PUSHED, "--yes")
    assert unnamed.returncode == 2
    assert "aws-prod is protected" in unnamed.stderr
    ok(devai("tf.apply", *prod, *PUSHED, "--confirm=devai-aws-prod"))
    without_image = devai("tf.apply", *prod, "--yes")
    assert without_image.returncode == 2
    warning = "this permanently removes what is destroyed or replaced here (terraform_data.service[0])"
    assert warning in without_image.stderr
    ok(devai("tf.apply", *prod, "--confirm=devai-aws-prod"))


@pytest.mark.usefixtures("small")
def test_home_storage_is_destroyed_only_with_data_flag(devai: Run) -> None:
    ok(devai("tf.apply", *STACK, "--yes"))
    refused = devai("tf.plan", *STACK, "--set=project.name=other")
    assert refused.returncode == 1
    assert "Instance cannot be destroyed" in refused.stderr
    ok(devai("tf.destroy", *STACK, "--confirm=devai-aws-dev"))
    assert ok(devai("tf.state-list", *STACK)).stdout == "module.storage.aws_efs_file_system.this\n"
    again = ok(devai("tf.destroy", *STACK, "--confirm=devai-aws-dev"))
    assert "nothing to destroy" in again.stderr
    ok(devai("tf.destroy", *STACK, "--data", "--confirm=devai-aws-dev"))
    assert ok(devai("tf.state-list", *STACK)).stdout == ""


def test_deletion_protection_prevents_destruction(small: Project, devai: Run) -> None:
    """The provider of the snapshot refuses to destroy a protected resource, as the real one does."""
    more = small.root / "deploy/terraform/aws/more.tf"
    for protected, code in ((True, 1), (False, 0)):
        setting = f"enable_deletion_protection = {json.dumps(protected)}"
        more.write_text(f'resource "aws_lb" "kept" {{\n  {setting}\n}}\n', encoding="utf-8")
        ok(devai("tf.apply", *STACK, "--yes"))
        more.unlink()
        applied = devai("tf.apply", *STACK, "--yes")
        assert applied.returncode == code
        assert ("aws_lb can't be destroyed: enable_deletion_protection" in applied.stderr) == protected


def test_state_of_other_stack_is_refused(small: Project, devai: Run) -> None:
    ok(devai("tf.apply", *STACK, "--yes"))
    file = home(small) / "data/terraform.tfstate"
    file.write_text(
        file.read_text(encoding="utf-8").replace("terraform.tfstate", "elsewhere.tfstate"), encoding="utf-8"
    )
    refused = devai("tf.plan", *STACK)
    assert refused.returncode == 1
    assert "the state is not that of aws-dev: path is" in refused.stderr
    ok(devai("tf.init", *STACK))
    assert plan_of(devai)["empty"]


@pytest.mark.usefixtures("small")
def test_detailed_exit_code_reports_changes(devai: Run) -> None:
    assert devai("tf.plan", *STACK, "--detailed-exitcode").returncode == 2
    ok(devai("tf.apply", *STACK, "--yes"))
    assert devai("tf.plan", *STACK, "--detailed-exitcode").returncode == 0


@pytest.mark.usefixtures("small")
def test_existing_resource_is_imported(devai: Run) -> None:
    imported = ("--address=aws_vpc.this", "--id=vpc-123")
    assert "pass --yes" in devai("tf.import", *STACK, *imported).stderr.lower()
    ok(devai("tf.import", *STACK, *imported, "--yes"))
    assert ok(devai("tf.state-list", *STACK)).stdout == "aws_vpc.this\n"
    changes = {change["address"]: change["kind"] for change in plan_of(devai)["changes"]}
    assert changes["aws_vpc.this"] == "changed"
    assert devai("tf.import", *STACK, "--id=vpc-123").returncode == 2


@pytest.mark.usefixtures("small")
def test_new_secret_value_creates_new_version(devai: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "one")
    ok(devai("tf.apply", *STACK, "--yes"))
    assert plan_of(devai)["empty"]
    monkeypatch.setenv("OPENAI_API_KEY", "two")
    changes = plan_of(devai)["changes"]
    assert [(change["address"], change["attributes"]) for change in changes] == [
        ('aws_secretsmanager_secret_version.this["OPENAI_API_KEY"]', ["secret_string_wo_version"])
    ]
    ok(devai("tf.apply", *STACK, "--yes"))
    # Without a value the value in the cloud is kept.
    monkeypatch.delenv("OPENAI_API_KEY")
    assert plan_of(devai)["empty"]


@pytest.mark.usefixtures("small")
def test_secret_without_value_is_refused(devai: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "one")
    ok(devai("tf.plan", *STACK))
    monkeypatch.delenv("OPENAI_API_KEY")
    for refused in (devai("tf.apply", *STACK, "--yes"), devai("tf.plan", *STACK)):
        assert refused.returncode == 2
        assert "no value on this machine for OPENAI_API_KEY" in refused.stderr
    assert ok(devai("tf.state-list", *STACK)).stdout == ""
    monkeypatch.setenv("OPENAI_API_KEY", "one")
    ok(devai("tf.apply", *STACK, "--yes"))


def test_terraform_error_is_printed_completely(small: Project, devai: Run) -> None:
    (small.root / "deploy/terraform/aws/more.tf").write_text(
        'resource "aws_vpc" "wrong" {\n  cidr_blocks = "10.0.0.0/16"\n}\n', encoding="utf-8"
    )
    refused = devai("tf.validate", *STACK)
    assert refused.returncode == 1
    assert 'An argument named "cidr_blocks" is not expected here. Did you mean' in refused.stderr
    assert re.search(r"on more\.tf line 2", refused.stderr)


def test_resource_type_without_snapshot_is_reported(small: Project, devai: Run) -> None:
    (small.root / "deploy/terraform/aws/more.tf").write_text('resource "aws_unknown" "x" {}\n', encoding="utf-8")
    refused = devai("tf.plan", *STACK)
    assert refused.returncode == 2
    assert "no provider schema snapshot of aws_unknown; `inv tf.record` creates it" in refused.stderr


APPLY_SLOWLY = [
    str(Path(sys.executable).with_name("inv")), "tf.apply", *STACK, "--yes", "--resource=terraform_data.later",
]  # fmt: skip


@pytest.fixture
def slow(small: Project) -> Project:
    """A root with a resource that takes seconds to create, and a resource that depends on it."""
    (small.root / "deploy/terraform/aws/more.tf").write_text(
        'resource "terraform_data" "slow" {\n  provisioner "local-exec" {\n'
        f'    command = "touch {small.root}/started; sleep 3; touch {small.root}/finished"\n  }}\n}}\n\n'
        'resource "terraform_data" "later" {\n  input = terraform_data.slow.id\n}\n',
        encoding="utf-8",
    )
    return small


def wait_until_started(project: Project) -> None:
    for _ in range(600):
        if (project.root / "started").exists():
            break
        time.sleep(0.1)


def assert_first_resource_is_recorded(project: Project) -> None:
    """Assert that the state contains only the first resource, and that the history contains the interrupted run."""
    state = json.loads((home(project) / "terraform.tfstate").read_text(encoding="utf-8"))
    assert [entry["name"] for entry in state["resources"] if entry["type"] == "terraform_data"] == ["slow"]
    assert '"result": "interrupted"' in (project.root / ".devai/history.jsonl").read_text(encoding="utf-8")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupt_reaches_terraform_once_and_running_operation_finishes(slow: Project, number: signal.Signals) -> None:
    with subprocess.Popen(
        APPLY_SLOWLY,
        cwd=slow.root, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True, env={**os.environ, "DOCKER_HOST": "unix:///nonexistent"},
        # Shells start background processes, which may include the tests, with SIGINT ignored.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # noqa: PLW1509 - no threads here
    ) as process:  # fmt: skip
        wait_until_started(slow)
        os.killpg(process.pid, number)  # as a terminal does
        output, errors = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    assert (slow.root / "finished").exists() or "Interrupt received" in errors, output + errors
    assert errors.count("Terraform was asked to stop") == 1
    assert "`inv tf.plan` shows the remaining changes" in errors
    assert "Two interrupts" not in errors
    assert "Traceback" not in errors
    assert_first_resource_is_recorded(slow)


def at_terminal(end: int) -> None:
    """Set the controlling terminal of a new session, and receive SIGHUP even if the tests run under `nohup`."""
    fcntl.ioctl(end, termios.TIOCSCTTY)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def test_closed_terminal_lets_running_operation_finish(slow: Project) -> None:
    terminal, end = os.openpty()
    with subprocess.Popen(
        APPLY_SLOWLY,
        cwd=slow.root, stdin=end, stdout=end, stderr=end,
        start_new_session=True, env={**os.environ, "DOCKER_HOST": "unix:///nonexistent"},
        preexec_fn=partial(at_terminal, end),  # noqa: PLW1509 - no threads here
    ) as process:  # fmt: skip
        os.close(end)
        wait_until_started(slow)
        os.close(terminal)
        assert process.wait(timeout=120) == 128 + signal.SIGHUP
    assert_first_resource_is_recorded(slow)
