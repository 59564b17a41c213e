"""The AWS account of the current login in `inv doctor`, read by Amazon's own command line from moto."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from harness import moto_server
from harness.cli import inv

from devai_tasks.config.project import Project

ACCOUNT, OTHER = "111122223333", "444455556666"
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}


@pytest.fixture(scope="module")
def account() -> Iterator[str]:
    """The URL of moto's services for the stack's account."""
    with moto_server.running(ACCOUNT) as address:
        yield address


def credentials(project: Project, environ: Mapping[str, str], *, of: str) -> dict[str, Any]:
    """Return doctor's check of the login, for a stack in the account `of`."""
    defaults = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(project.root.parent),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
    }
    arguments = ("doctor", "--cloud=aws", "--json", f"--set=terraform.account={of}")
    result = inv(*arguments, cwd=project.root, environ={**defaults, **environ})
    (credentials_check,) = [check for check in json.loads(result.stdout)["checks"] if check["name"] == "credentials"]
    return dict(credentials_check)


def test_login_of_stacks_account_is_ok(project: Project, account: str) -> None:
    assert credentials(project, KEYS | {"AWS_ENDPOINT_URL": account}, of=ACCOUNT)["state"] == "ok"


def test_login_of_other_account_is_reported(project: Project, account: str) -> None:
    check = credentials(project, KEYS | {"AWS_ENDPOINT_URL": account}, of=OTHER)
    assert (check["state"], check["found"], check["wanted"]) == ("failed", f"account {ACCOUNT}", f"account {OTHER}")
    assert f"a profile of account {OTHER}" in check["way_out"]


def test_missing_login_prints_login_hint(project: Project, account: str) -> None:
    check = credentials(project, {"AWS_ENDPOINT_URL": account}, of=ACCOUNT)
    assert (check["state"], check["found"]) == ("failed", "not logged in to aws")
    assert check["way_out"].startswith("`aws sso login`")


def test_unreachable_cloud_is_not_reported_as_missing_login(project: Project) -> None:
    check = credentials(project, KEYS | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, of=ACCOUNT)
    assert (check["state"], check["found"]) == ("failed", "cannot check the login: the cloud is unreachable")
