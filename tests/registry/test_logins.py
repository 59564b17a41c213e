"""Whose login this is, by Amazon's own command line, asked of moto: what `inv doctor` makes of each answer."""

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

OURS, OTHER = "111122223333", "444455556666"
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}


@pytest.fixture(scope="module")
def account() -> Iterator[str]:
    """An account of ours."""
    with moto_server.running(OURS) as address:
        yield address


def credentials(project: Project, environ: Mapping[str, str], *, of: str) -> dict[str, Any]:
    """The line about the login, of a stack that belongs to an account."""
    own = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(project.root.parent),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
    }
    words = ("doctor", "--cloud=aws", "--json", f"--set=terraform.account={of}")
    done = inv(*words, cwd=project.root, environ={**own, **environ})
    (found,) = [check for check in json.loads(done.stdout)["checks"] if check["name"] == "credentials"]
    return dict(found)


def test_login_of_stacks_account_is_ok(project: Project, account: str) -> None:
    assert credentials(project, KEYS | {"AWS_ENDPOINT_URL": account}, of=OURS)["state"] == "ok"


def test_login_of_other_account_is_reported(project: Project, account: str) -> None:
    found = credentials(project, KEYS | {"AWS_ENDPOINT_URL": account}, of=OTHER)
    assert (found["state"], found["found"], found["wanted"]) == ("failed", f"account {OURS}", f"account {OTHER}")
    assert f"a profile of account {OTHER}" in found["way_out"]


def test_missing_login_prints_login_hint(project: Project, account: str) -> None:
    found = credentials(project, {"AWS_ENDPOINT_URL": account}, of=OURS)
    assert (found["state"], found["found"]) == ("failed", "not logged in to aws")
    assert found["way_out"].startswith("`aws sso login`")


def test_unreachable_cloud_is_not_reported_as_missing_login(project: Project) -> None:
    found = credentials(project, KEYS | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, of=OURS)
    assert (found["state"], found["found"]) == ("failed", "cannot check the login: the cloud is unreachable")
