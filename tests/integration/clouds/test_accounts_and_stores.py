"""Whose credentials these are, and the store for the state. The clouds' command lines are stand-ins: scripts."""

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
Answer = Callable[[str], None]


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
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> Answer:
    """Have the cloud's command line run a line of shell, and note what it was called with."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def make(line: str) -> None:
        file = tmp_path / PROGRAMS[name]
        file.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/called\n{line}\n', encoding="utf-8")
        file.chmod(0o755)

    return make


def test_credentials_of_the_stacks_own_account_pass(cloud: TerraformCloud, settings: Settings, script: Answer) -> None:
    script(f"echo {settings.terraform.account}")
    cloud.check_account(settings)


def test_those_of_another_are_refused_by_both_names(cloud: TerraformCloud, settings: Settings, script: Answer) -> None:
    script("echo somebody-elses")
    with pytest.raises(UsageError, match=r"are for .* somebody-elses, but .*-dev belongs to ") as refused:
        cloud.check_account(settings)
    assert settings.terraform.account in str(refused.value)
    assert any(way in str(refused.value) for way in ("`export AWS_PROFILE", "`az account set", "`gcloud config set"))


def test_who_is_not_logged_in_is_told_how(cloud: TerraformCloud, settings: Settings, script: Answer) -> None:
    script("echo expired >&2; exit 1")
    with pytest.raises(NotAuthenticatedError, match=r"^not logged in to [a-z]+; ") as refused:
        cloud.check_account(settings)
    assert refused.value.hint == cloud.login_hint
    assert refused.value.output.endswith(" failed (exit code 1): expired")
    assert "expired" in str(refused.value)


def test_an_unreachable_cloud_is_told_from_a_missing_login_by_stderr(
    cloud: TerraformCloud, settings: Settings, script: Answer
) -> None:
    script("echo Max retries exceeded >&2; exit 1")
    with pytest.raises(
        CloudError, match=r"the cloud is unreachable; check the network connection\n.*Max retries"
    ) as refused:
        cloud.check_account(settings)
    assert not isinstance(refused.value, NotAuthenticatedError)


def test_a_network_that_swallows_all_is_not_waited_for(
    cloud: TerraformCloud, settings: Settings, script: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devai_tasks.clouds.command_line.SECONDS", 0.2)
    script("exec sleep 60")
    with pytest.raises(DevaiError, match=r"check the network connection\n.*no answer in 0\.2 s"):
        cloud.check_account(settings)


def test_without_the_command_line_nothing_goes_on(
    cloud: TerraformCloud, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(MissingToolError, match="is not installed; see https://"):
        cloud.check_account(settings)


# Stands in for a cloud that remembers which commands were run; one of them may break off.
REMEMBERS = """
import json, pathlib, sys
folder, *words = sys.argv[1:]
store = json.loads(pathlib.Path(folder, "store").read_text())
said, made = " ".join(words), pathlib.Path(folder, "made")
done = made.read_text().splitlines() if made.exists() else []
if said == store["breaks"]:
    sys.exit("broken off")
if "get-access-token" in said:
    print(store["token"])
elif said in store["looks"]:
    make, found = store["looks"][said]
    sys.exit(print(found) if make in done else 1)
else:
    made.write_text("".join(line + "\\n" for line in [*done, said]))
"""
# As Azure writes one: claims in the middle, whose `oid` is the one who is logged in.
TOKEN = ".".join(("e30", base64.urlsafe_b64encode(b'{"oid": "0f-me", "aud": "x"}').decode().rstrip("="), "signature"))


@pytest.fixture
def run(cloud: TerraformCloud, settings: Settings, script: Answer, tmp_path: Path) -> Callable[..., list[str]]:
    """Bootstrap in a cloud where one command may break off; returns what has been made until then, in order."""
    parts = cloud.store_parts(settings)
    looks = {spoken(part.check): (spoken(part.create), part.expected) for part in parts}
    script(f"exec '{sys.executable}' {tmp_path}/cloud.py {tmp_path} \"$@\"")
    (tmp_path / "cloud.py").write_text(REMEMBERS, encoding="utf-8")

    def bootstrap(*, breaks: str = "", makes: bool = True) -> list[str]:
        store = {"looks": looks, "breaks": breaks, "token": TOKEN}
        (tmp_path / "store").write_text(json.dumps(store), encoding="utf-8")
        if breaks:
            with pytest.raises(ToolError, match="broken off"):
                cloud.bootstrap(settings)
        else:
            assert cloud.bootstrap(settings) == makes
        made = tmp_path / "made"
        return made.read_text(encoding="utf-8").splitlines() if made.exists() else []

    return bootstrap


def spoken(command: Command) -> str:
    """A command without its program, as the stand-in sees it."""
    return " ".join(command[1:]).replace("OBJECT-ID", "0f-me")


def test_the_store_is_made_once(cloud: TerraformCloud, settings: Settings, run: Callable[..., list[str]]) -> None:
    everything = [spoken(part.create) for part in cloud.store_parts(settings)]
    assert run() == everything
    assert cloud.store_name(settings) in " ".join(everything)
    assert run(makes=False) == everything


def test_what_a_broken_bootstrap_has_left_out_is_made_by_the_next(
    cloud: TerraformCloud, settings: Settings, run: Callable[..., list[str]], tmp_path: Path
) -> None:
    everything = [spoken(part.create) for part in cloud.store_parts(settings)]
    for number, command in enumerate(everything):
        assert run(breaks=command) == everything[:number]
        assert sorted(set(run())) == sorted(everything)
        assert not cloud.bootstrap(settings)
        (tmp_path / "made").unlink()


@pytest.mark.parametrize("name", ["azure"])
def test_who_owns_a_subscription_may_make_and_read_the_store(cloud: TerraformCloud, settings: Settings) -> None:
    """Owners have no role for what is in an account: the container is made from outside, and the role is given."""
    *_, container, role = (spoken(part.create) for part in cloud.store_parts(settings))
    assert container.startswith("storage container-rm create --name=tfstate ")
    assert role.startswith("role assignment create --assignee-object-id 0f-me --role=Storage Blob Data Contributor ")
    assert f"/storageAccounts/{cloud.store_name(settings)} " in role


@pytest.mark.parametrize("name", ["gcp"])
def test_google_answers_terraform_before_there_is_anything_to_plan(
    settings: Settings, run: Callable[..., list[str]]
) -> None:
    """A fresh project has nothing switched on, and Terraform's own request to switch it on is one of those."""
    *enable, create, _ = run()
    assert enable == [
        f"services enable {name}.googleapis.com --project={settings.terraform.account}"
        for name in ("cloudresourcemanager", "serviceusage", "compute")
    ]
    assert create.startswith("storage buckets create")


@pytest.mark.parametrize("name", ["gcp"])
def test_so_it_does_where_the_bucket_is_somebody_elses(
    cloud: TerraformCloud, settings: Settings, run: Callable[..., list[str]], tmp_path: Path
) -> None:
    """Another project's bucket says nothing of this project."""
    everything = [spoken(part.create) for part in cloud.store_parts(settings)]
    (tmp_path / "made").write_text("\n".join(everything[3:]) + "\n", encoding="utf-8")
    assert run() == everything[3:] + everything[:3]


def test_the_token_is_the_one_that_the_cloud_has(
    cloud: TerraformCloud, settings: Settings, script: Answer, tmp_path: Path
) -> None:
    script("echo of-the-lab")
    assert cloud.token(settings) == "of-the-lab"
    (asked,) = (tmp_path / "called").read_text(encoding="utf-8").splitlines()
    assert cloud.secret_name(settings, "JUPYTER_TOKEN") in asked


def test_a_cloud_that_does_not_tell_the_token_is_quoted_with_the_login_hint(
    cloud: TerraformCloud, settings: Settings, script: Answer
) -> None:
    script("echo AccessDenied >&2; exit 1")
    with pytest.raises(DevaiError, match=r"cannot read the token of .*-dev from the cloud's secret manager") as refused:
        cloud.token(settings)
    assert "AccessDenied" in str(refused.value)
    assert cloud.login_hint in str(refused.value)


def test_the_store_is_closed_and_keeps_versions(cloud: TerraformCloud, settings: Settings) -> None:
    commands = " ".join(spoken(part.create) for part in cloud.store_parts(settings))
    assert "versioning" in commands
    assert "public" in commands
    assert settings.terraform.region in commands
