"""Whole stacks on managed containers: `stop`, `start` and `plan`, with a simulated cloud."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from harness.simulated_cloud import with_provider_snapshots

from devai_tasks.clouds.aws import Aws
from devai_tasks.config.project import Project
from devai_tasks.system.errors import DevaiError
from devai_tasks.targets.terraform import deployment as terraform

Run = Callable[..., CompletedProcess[str]]
STACK = (
    "--cloud=aws", "--set=compute.platform=simple", "--set=terraform.account=210987654321",
    "--set=network.allowed_cidrs=[198.18.0.0/15]", "--set=image.registry=registry.test/lab",
    f"--set=image.digest=sha256:{'1' * 64}", "--set=ingress.host=lab.unresolved.test",
)  # fmt: skip
SERVICE = "terraform_data.service[0]"


@pytest.fixture(autouse=True)
def cloud(monkeypatch: pytest.MonkeyPatch, small: Project) -> None:
    """Use provider schema snapshots instead of a cloud, and accept every account."""
    shutil.copy(Path(__file__).with_name("record.tf"), small.root / "deploy/terraform/aws")
    monkeypatch.setattr(terraform, "work", with_provider_snapshots(terraform.work))
    monkeypatch.setattr(Aws, "check_account", lambda *_, **__: None)


def services(devai: Run) -> list[Any]:
    addresses = json.loads(devai("tf.state-list", *STACK, "--json").stdout)
    return [address for address in addresses if "service" in address]


def test_stop_destroys_service_and_start_recreates_it(devai: Run, project: Project) -> None:
    assert devai("tf.apply", *STACK, "--yes").returncode == 0
    assert services(devai) == [SERVICE]

    stopped = devai("stop", *STACK, "--yes")
    assert stopped.returncode == 0, stopped.stderr
    assert re.search(rf"^destroyed +{re.escape(SERVICE)} *$", stopped.stdout, flags=re.MULTILINE)
    assert "aws-dev: 1 destroyed\n" in stopped.stdout
    assert services(devai) == []
    assert (project.root / ".devai/aws-dev/deployment.yaml").exists()  # the record is kept

    started = devai("start", *STACK, "--yes", "--seconds=1")
    assert services(devai) == [SERVICE]
    # The host does not exist; the message names the cause and the command that continues.
    assert started.returncode == 1
    assert (
        "https://lab.unresolved.test/api does not answer after 1 s: the host name has no DNS record yet"
        in started.stderr
    )
    assert "`inv tf.output --name=dns_records` shows the records to create" in started.stderr
    again = shlex.join(["inv", "start", "--env=dev", *STACK, "--seconds=1"])
    assert f"service is done, address is not done; `{again}` continues there" in started.stderr


def test_down_keeps_data_and_deletes_deployment_record(devai: Run, project: Project) -> None:
    assert devai("tf.apply", *STACK, "--yes").returncode == 0
    unnamed = devai("down", *STACK, "--yes")
    assert unnamed.returncode == 2
    assert "--confirm=devai-aws-dev" in unnamed.stderr
    assert devai("down", *STACK, "--confirm=devai-aws-dev").returncode == 0
    remaining = json.loads(devai("tf.state-list", *STACK, "--json").stdout)
    assert remaining == ["terraform_data.stack", "module.storage.aws_efs_file_system.this"]
    record = project.root / ".devai/aws-dev/deployment.yaml"
    # The home is found again by the recorded names.
    assert list(json.loads(record.read_text(encoding="utf-8"))["terraform"]) == ["deployed"]
    assert devai("down", *STACK, "--data", "--confirm=devai-aws-dev").returncode == 0
    assert json.loads(devai("tf.state-list", *STACK, "--json").stdout) == []
    assert not record.exists()


def test_unknown_step_lists_known_steps(devai: Run) -> None:
    refused = devai("up", *STACK, "--from=imag")
    assert refused.returncode == 2
    assert "unknown step 'imag'; did you mean image? (there are: address, image, service, terraform)" in refused.stderr
    both = devai("up", *STACK, "--from=image", "--only=image")
    assert both.returncode == 2
    assert "--from and --only can't be combined" in both.stderr


# On a machine that has never used the stack, the digest and the secrets are unknown.
OTHER_MACHINE = tuple(flag for flag in STACK if not flag.startswith("--set=image.digest"))
NEW_IMAGE = f"--set=image.digest=sha256:{'2' * 64}"


@pytest.fixture
def switch_machine(project: Project, devai: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Deploy a stack with an image and a secret; return a function that removes the state of this machine."""
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    up = devai("tf.apply", *STACK, "--yes")
    assert up.returncode == 0, up.stderr

    def remove_local_state() -> None:
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        folder = project.root / ".devai/aws-dev"
        for name in ("deployment.yaml", "token", "offline/secret-versions.json"):
            (folder / name).unlink(missing_ok=True)

    return remove_local_state


@pytest.mark.parametrize("flags", [OTHER_MACHINE, STACK], ids=["image unknown", "image known"])
def test_other_machine_plans_no_changes(
    devai: Run, project: Project, switch_machine: Callable[[], None], flags: tuple[str, ...]
) -> None:
    switch_machine()
    planned = devai("tf.plan", *flags, "--json")
    assert planned.returncode == 0, planned.stderr
    assert json.loads(planned.stdout)["changes"] == []
    switch_machine()
    applied = devai("tf.apply", *flags, "--yes")
    assert applied.returncode == 0, applied.stderr
    assert "aws-dev: no changes" in applied.stdout
    assert not (project.root / ".devai/aws-dev/token").exists()  # it would not be the lab's token


def test_secret_added_on_other_machine_is_kept(
    devai: Run, project: Project, switch_machine: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project.root / ".devai/aws-dev"
    before = {name: (folder / name).read_text(encoding="utf-8") for name in ("deployment.yaml", "token")}
    monkeypatch.setenv("ANTHROPIC_API_KEY", "another-key")
    switch_machine()
    assert devai("tf.apply", *OTHER_MACHINE, "--yes").returncode == 0
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    for name, text in before.items():
        (folder / name).write_text(text, encoding="utf-8")
    assert json.loads(devai("tf.plan", *STACK, "--json").stdout)["changes"] == []


@pytest.mark.parametrize("same_machine", [True, False], ids=["same machine", "other machine"])
def test_leaked_token_is_replaced_by_rotation(
    devai: Run, project: Project, switch_machine: Callable[[], None], same_machine: bool
) -> None:
    token = project.root / ".devai/aws-dev/token"
    leaked = token.read_text(encoding="utf-8")
    if not same_machine:
        switch_machine()
    refused = devai("secrets.rotate", *STACK)
    assert refused.returncode == 2
    assert "aws-dev: its token is replaced, and all sessions and kernels stop; continue?" not in refused.stdout
    assert not token.exists() or token.read_text(encoding="utf-8") == leaked
    rotated = devai("secrets.rotate", *STACK, "--yes")
    assert rotated.returncode == 0, rotated.stderr
    # The service references the version, so a new version restarts the lab: test_lifecycle.py.
    assert 'aws_secretsmanager_secret_version.this["JUPYTER_TOKEN"]' in rotated.stdout
    assert token.read_text(encoding="utf-8") != leaked
    assert leaked not in rotated.stdout + rotated.stderr
    assert json.loads(devai("tf.plan", *STACK, "--json").stdout)["changes"] == []


@pytest.mark.usefixtures("switch_machine")
def test_failed_rotation_reports_valid_old_token(devai: Run, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused rotation keeps the token."""

    def fail(*_: object, **__: object) -> None:
        raise DevaiError("no")

    token = project.root / ".devai/aws-dev/token"
    leaked = token.read_text(encoding="utf-8")
    with monkeypatch.context() as refusing:
        refusing.setattr(Aws, "check_account", fail)
        assert devai("secrets.rotate", *STACK, "--yes").returncode == 1
    assert token.read_text(encoding="utf-8") == leaked
    with monkeypatch.context() as failing:
        failing.setattr(terraform, "apply", fail)
        failed = devai("secrets.rotate", *STACK, "--yes")
    assert failed.returncode == 1
    assert "the old token may still be valid; repeat `inv secrets.rotate --env=dev --cloud=aws " in failed.stderr
    again = devai("secrets.rotate", *STACK, "--yes")
    assert 'aws_secretsmanager_secret_version.this["JUPYTER_TOKEN"]' in again.stdout


def test_newer_image_is_rolled_out(devai: Run, switch_machine: Callable[[], None]) -> None:
    switch_machine()
    changes = json.loads(devai("tf.plan", *OTHER_MACHINE, NEW_IMAGE, "--json").stdout)["changes"]
    assert [change["address"] for change in changes] == [SERVICE]


def test_other_machine_stops_service_and_third_cannot_start_it(devai: Run, switch_machine: Callable[[], None]) -> None:
    switch_machine()
    stopped = devai("stop", *OTHER_MACHINE, "--yes")
    assert stopped.returncode == 0, stopped.stderr
    assert "aws-dev: 1 destroyed\n" in stopped.stdout
    assert services(devai) == []

    switch_machine()
    unknown = devai("start", *OTHER_MACHINE, "--yes", "--seconds=1")
    assert unknown.returncode == 2
    assert "no image of aws-dev is recorded here" in unknown.stderr
    assert "`inv up --env=dev --cloud=aws --set=" in unknown.stderr
