"""Logins for the clouds' registries by fake programs. tests/registry has the real SDKs and a real registry."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from devai_tasks import clouds
from devai_tasks.clouds import registry_login
from devai_tasks.system.errors import MissingToolError, ToolError

CANARY = "canary-of-a-token-0123456789"
ECR = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/lab"
DUAL_STACK = "123456789012.dkr-ecr.eu-central-1.on.aws/lab"
Program = Callable[[str, str], Path]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Return a function that puts a fake of a cloud's program on PATH, which records its arguments."""
    monkeypatch.setenv("PATH", str(tmp_path))
    # No SDK either: an installed one would be tried if the program fails.
    for package in ("boto3", "azure.identity", "google.auth"):
        monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(registry_login, "_is_importable", lambda _: False)

    def put(name: str, body: str) -> Path:
        called = tmp_path / f"{name}.called"
        (tmp_path / name).write_text(f'#!/bin/sh\necho "$*" >{called}\n{body}\n', encoding="utf-8")
        (tmp_path / name).chmod(0o755)
        return called

    return put


@pytest.mark.parametrize(
    ("provider", "name", "address", "answer", "arguments", "username"),
    [
        ("aws", "aws", ECR, CANARY, "ecr get-login-password --region eu-central-1", "AWS"),
        ("aws", "aws", DUAL_STACK, CANARY, "ecr get-login-password --region eu-central-1", "AWS"),
        ("aws", "aws", "127.0.0.1:5000/lab", CANARY, "ecr get-login-password --region us-east-1", "AWS"),
        (
            "azure",
            "az",
            "labs.azurecr.io/lab",
            f'{{"accessToken": "{CANARY}", "loginServer": "labs.azurecr.io"}}',
            "acr login --name labs --expose-token --output json",
            "00000000-0000-0000-0000-000000000000",
        ),
        ("gcp", "gcloud", "europe-docker.pkg.dev/p/lab", CANARY, "auth print-access-token", "oauth2accesstoken"),
    ],
)
def test_command_line_of_a_cloud_returns_the_login(  # noqa: PLR0913, PLR0917 - columns of the table
    program: Program, provider: str, name: str, address: str, answer: str, arguments: str, username: str
) -> None:
    called = program(name, f"echo '{answer}'")
    cloud = clouds.WITH_TERRAFORM[provider]
    login = cloud.registry_login(address, "us-east-1")
    assert (login.username, login.token) == (username, CANARY)
    assert called.read_text(encoding="utf-8").strip() == arguments
    assert cloud.registry_command(address, "us-east-1")[1:] == arguments.split()
    assert CANARY not in repr(login)


@pytest.mark.parametrize(
    ("provider", "host"),
    [
        ("aws", "123456789012.dkr.ecr.eu-central-1.amazonaws.com"),
        ("aws", "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com"),
        ("aws", "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn"),
        ("aws", "123456789012.dkr-ecr.eu-central-1.on.aws"),
        ("azure", "labs.azurecr.io"),
        ("azure", "labs.azurecr.cn"),
        ("gcp", "europe-west1-docker.pkg.dev"),
        ("gcp", "eu.gcr.io"),
        ("gcp", "gcr.io"),
    ],
)
def test_token_of_a_cloud_is_only_for_its_own_registries(provider: str, host: str) -> None:
    assert [cloud.name for cloud in clouds.WITH_TERRAFORM.values() if cloud.owns_registry(host)] == [provider]
    for foreign in (f"{host}.other.test", f"other.test:5000.{host}", host.replace(".", "-"), f"{host}\n"):
        assert not clouds.WITH_TERRAFORM[provider].owns_registry(foreign)


@pytest.mark.parametrize("host", ["ghcr.io", "registry-1.docker.io", "public.ecr.aws", "127.0.0.1:5000", "localhost"])
def test_registries_outside_the_clouds_get_no_token(host: str) -> None:
    assert not any(cloud.owns_registry(host) for cloud in clouds.WITH_TERRAFORM.values())


@pytest.mark.parametrize(
    ("provider", "name", "login"),
    [
        ("aws", "aws", "`aws sso login`, or `export AWS_PROFILE=…`"),
        ("azure", "az", "`az login`"),
        ("gcp", "gcloud", "`gcloud auth login`"),
    ],
)
def test_missing_login_is_reported_with_the_login_hint(program: Program, provider: str, name: str, login: str) -> None:
    program(name, f"echo {CANARY}; echo 'session expired' >&2; exit 3")
    with pytest.raises(ToolError) as refusal:
        clouds.WITH_TERRAFORM[provider].registry_login("registry.test/lab", "us-east-1")
    assert refusal.value.message == f"cannot log in to registry.test/lab\n{name}: session expired"
    assert refusal.value.hint == f"{login}, then retry"
    assert refusal.value.code == "DEVAI-IMAGE-008"


def test_failure_without_a_reason_is_reported_without_the_token(program: Program) -> None:
    program("gcloud", f"echo {CANARY}; exit 3")
    with pytest.raises(ToolError, match=r"^cannot log in to registry\.test/lab\ngcloud: exit code 3\n"):
        clouds.WITH_TERRAFORM["gcp"].registry_login("registry.test/lab", "us-east-1")


@pytest.mark.parametrize("provider", clouds.WITH_TERRAFORM)
def test_missing_program_and_sdk_are_reported_with_the_package(
    provider: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for package in ("boto3", "azure", "azure.identity", "google", "google.auth"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingToolError, match=rf"pip install devai-tasks\[{provider}\]"):
        clouds.WITH_TERRAFORM[provider].registry_login("registry.test/lab", "us-east-1")
