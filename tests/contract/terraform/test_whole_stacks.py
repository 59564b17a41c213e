"""Whole stacks on a provider's simple platform: `stop`, `start` and `plan`, with a cloud that is played."""

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
    f"--set=image.digest=sha256:{'1' * 64}", "--set=ingress.host=lab.nowhere.test",
)  # fmt: skip
SERVICE = "terraform_data.service[0]"


@pytest.fixture(autouse=True)
def cloud(monkeypatch: pytest.MonkeyPatch, small: Project) -> None:
    """Recorded schemas in the cloud's place, with an account that is the stack's."""
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
    assert (project.root / ".devai/aws-dev/deployment.yaml").exists()  # nothing is forgotten

    started = devai("start", *STACK, "--yes", "--seconds=1")
    assert services(devai) == [SERVICE]
    # Nobody answers there, and the message says what is missing and goes on with.
    assert started.returncode == 1
    assert (
        "https://lab.nowhere.test/api does not answer after 1 s: the host name has no DNS record yet" in started.stderr
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
    left = json.loads(devai("tf.state-list", *STACK, "--json").stdout)
    assert left == ["terraform_data.stack", "module.storage.aws_efs_file_system.this"]
    noted = project.root / ".devai/aws-dev/deployment.yaml"
    # By its names the home is found again.
    assert list(json.loads(noted.read_text(encoding="utf-8"))["terraform"]) == ["deployed"]
    assert devai("down", *STACK, "--data", "--confirm=devai-aws-dev").returncode == 0
    assert json.loads(devai("tf.state-list", *STACK, "--json").stdout) == []
    assert not noted.exists()


def test_unknown_step_lists_known_steps(devai: Run) -> None:
    refused = devai("up", *STACK, "--from=imag")
    assert refused.returncode == 2
    assert "unknown step 'imag'; did you mean image? (there are: address, image, service, terraform)" in refused.stderr
    both = devai("up", *STACK, "--from=image", "--only=image")
    assert both.returncode == 2
    assert "--from and --only can't be combined" in both.stderr


# What a machine knows that has never worked on the stack: conf/, and none of the digest and the secrets.
ELSEWHERE = tuple(flag for flag in STACK if not flag.startswith("--set=image.digest"))
NEW_IMAGE = f"--set=image.digest=sha256:{'2' * 64}"


@pytest.fixture
def elsewhere(project: Project, devai: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Have a stack up with an image and a secret; the function has this machine be another one."""
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    up = devai("tf.apply", *STACK, "--yes")
    assert up.returncode == 0, up.stderr

    def leave() -> None:
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        own = project.root / ".devai/aws-dev"
        for name in ("deployment.yaml", "token", "offline/secret-versions.json"):
            (own / name).unlink(missing_ok=True)

    return leave


@pytest.mark.parametrize("flags", [ELSEWHERE, STACK], ids=["nothing is known", "the image is known"])
def test_other_machine_plans_no_changes(
    devai: Run, project: Project, elsewhere: Callable[[], None], flags: tuple[str, ...]
) -> None:
    elsewhere()
    planned = devai("tf.plan", *flags, "--json")
    assert planned.returncode == 0, planned.stderr
    assert json.loads(planned.stdout)["changes"] == []
    elsewhere()
    applied = devai("tf.apply", *flags, "--yes")
    assert applied.returncode == 0, applied.stderr
    assert "aws-dev: no changes" in applied.stdout
    assert not (project.root / ".devai/aws-dev/token").exists()  # which would not be the lab's


def test_secret_added_on_other_machine_is_kept(
    devai: Run, project: Project, elsewhere: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = project.root / ".devai/aws-dev"
    before = {name: (own / name).read_text(encoding="utf-8") for name in ("deployment.yaml", "token")}
    monkeypatch.setenv("ANTHROPIC_API_KEY", "another-key")
    elsewhere()
    assert devai("tf.apply", *ELSEWHERE, "--yes").returncode == 0
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    for name, text in before.items():
        (own / name).write_text(text, encoding="utf-8")
    assert json.loads(devai("tf.plan", *STACK, "--json").stdout)["changes"] == []


@pytest.mark.parametrize("here", [True, False], ids=["where the token was made", "on another machine"])
def test_leaked_token_is_replaced_by_rotation(
    devai: Run, project: Project, elsewhere: Callable[[], None], here: bool
) -> None:
    token = project.root / ".devai/aws-dev/token"
    leaked = token.read_text(encoding="utf-8")
    if not here:
        elsewhere()
    refused = devai("secrets.rotate", *STACK)
    assert refused.returncode == 2
    assert "aws-dev: its token is replaced, and all sessions and kernels stop; continue?" not in refused.stdout
    assert not token.exists() or token.read_text(encoding="utf-8") == leaked
    rotated = devai("secrets.rotate", *STACK, "--yes")
    assert rotated.returncode == 0, rotated.stderr
    # What runs names the version, so another one starts another lab: test_life.py.
    assert 'aws_secretsmanager_secret_version.this["JUPYTER_TOKEN"]' in rotated.stdout
    assert token.read_text(encoding="utf-8") != leaked
    assert leaked not in rotated.stdout + rotated.stderr
    assert json.loads(devai("tf.plan", *STACK, "--json").stdout)["changes"] == []


@pytest.mark.usefixtures("elsewhere")
def test_failed_rotation_reports_valid_old_token(devai: Run, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that is refused keeps it."""

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


def test_newer_image_is_rolled_out(devai: Run, elsewhere: Callable[[], None]) -> None:
    elsewhere()
    changes = json.loads(devai("tf.plan", *ELSEWHERE, NEW_IMAGE, "--json").stdout)["changes"]
    assert [change["address"] for change in changes] == [SERVICE]


def test_other_machine_stops_service_and_third_cannot_start_it(devai: Run, elsewhere: Callable[[], None]) -> None:
    elsewhere()
    stopped = devai("stop", *ELSEWHERE, "--yes")
    assert stopped.returncode == 0, stopped.stderr
    assert "aws-dev: 1 destroyed\n" in stopped.stdout
    assert services(devai) == []

    elsewhere()
    unknown = devai("start", *ELSEWHERE, "--yes", "--seconds=1")
    assert unknown.returncode == 2
    assert "no image of aws-dev is recorded here" in unknown.stderr
    assert "`inv up --env=dev --cloud=aws --set=" in unknown.stderr
