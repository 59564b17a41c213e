"""Account of the credentials, and storage of the Terraform state. The clouds' command lines are fakes: scripts."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.settings import load

from devai_tasks import clouds
from devai_tasks.clouds.terraform import CloudError, Command, NotAuthenticatedError, TerraformCloud
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.config.stack import Stack
from devai_tasks.system.errors import DevaiError, MissingToolError, ToolError, UsageError

PROGRAMS = {"aws": "aws", "azure": "az", "gcp": "gcloud"}
Script = Callable[[str], None]


@pytest.fixture(params=PROGRAMS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def settings(shipped: Project, name: str) -> Settings:
    return load(shipped, Stack("dev", name), environ={})


@pytest.fixture
def cloud(settings: Settings) -> TerraformCloud:
    return clouds.terraform_of(settings)


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> Script:
    """Return a function that puts a fake command line on PATH, which records its arguments and runs a line of shell."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def put(line: str) -> None:
        file = tmp_path / PROGRAMS[name]
        file.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/called\n{line}\n', encoding="utf-8")
        file.chmod(0o755)

    return put


def test_credentials_of_the_stacks_account_are_accepted(
    cloud: TerraformCloud, settings: Settings, script: Script
) -> None:
    script(f"echo {settings.terraform.account}")
    cloud.check_account(settings)


def test_credentials_of_another_account_are_refused_with_both_accounts(
    cloud: TerraformCloud, settings: Settings, script: Script
) -> None:
    script("echo another-account")
    with pytest.raises(UsageError, match=r"are for .* another-account, but .*-dev belongs to ") as refused:
        cloud.check_account(settings)
    assert settings.terraform.account in str(refused.value)
    assert any(hint in str(refused.value) for hint in ("`export AWS_PROFILE", "`az account set", "`gcloud config set"))


def test_missing_login_is_reported_with_the_login_hint(
    cloud: TerraformCloud, settings: Settings, script: Script
) -> None:
    script("echo expired >&2; exit 1")
    with pytest.raises(NotAuthenticatedError, match=r"^not logged in to [a-z]+; ") as refused:
        cloud.check_account(settings)
    assert refused.value.hint == cloud.login_hint
    assert refused.value.output.endswith(" failed (exit code 1): expired")
    assert "expired" in str(refused.value)


def test_unreachable_cloud_is_distinguished_from_a_missing_login(
    cloud: TerraformCloud, settings: Settings, script: Script
) -> None:
    script("echo Max retries exceeded >&2; exit 1")
    with pytest.raises(
        CloudError, match=r"the cloud is unreachable; check the network connection\n.*Max retries"
    ) as refused:
        cloud.check_account(settings)
    assert not isinstance(refused.value, NotAuthenticatedError)


def test_network_without_an_answer_is_a_timeout(
    cloud: TerraformCloud, settings: Settings, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devai_tasks.clouds.command_line.SECONDS", 0.2)
    script("exec sleep 60")
    with pytest.raises(DevaiError, match=r"check the network connection\n.*no answer in 0\.2 s"):
        cloud.check_account(settings)


def test_missing_command_line_is_reported_with_its_installer(
    cloud: TerraformCloud, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(MissingToolError, match="is not installed; see https://"):
        cloud.check_account(settings)


# Fake of a cloud that records the commands that create parts of the store; one of the commands may fail.
FAKE_CLOUD = """
import json, pathlib, sys
folder, *argv = sys.argv[1:]
store = json.loads(pathlib.Path(folder, "store").read_text())
command, log = " ".join(argv), pathlib.Path(folder, "created")
created = log.read_text().splitlines() if log.exists() else []
if command == store["fails"]:
    sys.exit("interrupted")
if "get-access-token" in command:
    print(store["token"])
elif command in store["checks"]:
    create, output = store["checks"][command]
    sys.exit(print(output) if create in created else 1)
else:
    log.write_text("".join(line + "\\n" for line in [*created, command]))
"""
# Access token as Azure issues it: claims in the second part, with the object ID of the user as `oid`.
TOKEN = ".".join(("e30", base64.urlsafe_b64encode(b'{"oid": "0f-me", "aud": "x"}').decode().rstrip("="), "signature"))


@pytest.fixture
def run(cloud: TerraformCloud, settings: Settings, script: Script, tmp_path: Path) -> Callable[..., list[str]]:
    """Return a function that bootstraps in the fake cloud; it returns all commands that created a part, in order."""
    parts = cloud.store_parts(settings)
    checks = {arguments(part.check): (arguments(part.create), part.expected) for part in parts}
    script(f"exec '{sys.executable}' {tmp_path}/cloud.py {tmp_path} \"$@\"")
    (tmp_path / "cloud.py").write_text(FAKE_CLOUD, encoding="utf-8")

    def bootstrap(*, fails: str = "", creates: bool = True) -> list[str]:
        store = {"checks": checks, "fails": fails, "token": TOKEN}
        (tmp_path / "store").write_text(json.dumps(store), encoding="utf-8")
        if fails:
            with pytest.raises(ToolError, match="interrupted"):
                cloud.bootstrap(settings)
        else:
            assert cloud.bootstrap(settings) == creates
        created = tmp_path / "created"
        return created.read_text(encoding="utf-8").splitlines() if created.exists() else []

    return bootstrap


def arguments(command: Command) -> str:
    """Return the arguments of a command as text, as the fake receives them."""
    return " ".join(command[1:]).replace("OBJECT-ID", "0f-me")


def test_store_is_created_once(cloud: TerraformCloud, settings: Settings, run: Callable[..., list[str]]) -> None:
    everything = [arguments(part.create) for part in cloud.store_parts(settings)]
    assert run() == everything
    assert cloud.store_name(settings) in " ".join(everything)
    assert run(creates=False) == everything


def test_interrupted_bootstrap_is_completed_by_the_next_one(
    cloud: TerraformCloud, settings: Settings, run: Callable[..., list[str]], tmp_path: Path
) -> None:
    everything = [arguments(part.create) for part in cloud.store_parts(settings)]
    for number, command in enumerate(everything):
        assert run(fails=command) == everything[:number]
        assert sorted(set(run())) == sorted(everything)
        assert not cloud.bootstrap(settings)
        (tmp_path / "created").unlink()


@pytest.mark.parametrize("name", ["azure"])
def test_owner_of_a_subscription_can_create_and_read_the_store(cloud: TerraformCloud, settings: Settings) -> None:
    """Owners have no data role: the container is created by the management API, and the role is assigned."""
    *_, container, role = (arguments(part.create) for part in cloud.store_parts(settings))
    assert container.startswith("storage container-rm create --name=tfstate ")
    assert role.startswith("role assignment create --assignee-object-id 0f-me --role=Storage Blob Data Contributor ")
    assert f"/storageAccounts/{cloud.store_name(settings)} " in role


@pytest.mark.parametrize("name", ["gcp"])
def test_bootstrap_enables_the_apis_that_a_plan_needs(settings: Settings, run: Callable[..., list[str]]) -> None:
    """A new project has no enabled APIs, and Terraform can enable APIs only through such an API."""
    *enable, create, _ = run()
    assert enable == [
        f"services enable {name}.googleapis.com --project={settings.terraform.account}"
        for name in ("cloudresourcemanager", "serviceusage", "compute")
    ]
    assert create.startswith("storage buckets create")


@pytest.mark.parametrize("name", ["gcp"])
def test_apis_are_enabled_if_the_bucket_belongs_to_another_project(
    cloud: TerraformCloud, settings: Settings, run: Callable[..., list[str]], tmp_path: Path
) -> None:
    """An existing bucket does not show that the APIs of this project are enabled."""
    everything = [arguments(part.create) for part in cloud.store_parts(settings)]
    (tmp_path / "created").write_text("\n".join(everything[3:]) + "\n", encoding="utf-8")
    assert run() == everything[3:] + everything[:3]


def test_token_is_read_from_the_clouds_secret_manager(
    cloud: TerraformCloud, settings: Settings, script: Script, tmp_path: Path
) -> None:
    script("echo token-of-the-lab")
    assert cloud.token(settings) == "token-of-the-lab"
    (call,) = (tmp_path / "called").read_text(encoding="utf-8").splitlines()
    assert cloud.secret_name(settings, "JUPYTER_TOKEN") in call


def test_unreadable_token_is_reported_with_the_reason_and_the_login_hint(
    cloud: TerraformCloud, settings: Settings, script: Script
) -> None:
    script("echo AccessDenied >&2; exit 1")
    with pytest.raises(DevaiError, match=r"cannot read the token of .*-dev from the cloud's secret manager") as refused:
        cloud.token(settings)
    assert "AccessDenied" in str(refused.value)
    assert cloud.login_hint in str(refused.value)


def test_store_is_private_and_versioned(cloud: TerraformCloud, settings: Settings) -> None:
    commands = " ".join(arguments(part.create) for part in cloud.store_parts(settings))
    assert "versioning" in commands
    assert "public" in commands
    assert settings.terraform.region in commands
