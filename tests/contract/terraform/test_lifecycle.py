"""The lifecycle of a stack in each cloud, through the tasks: the project's own roots, applied offline.

The stack has a secret, and the test searches all files and output for it. The search does not cover keys that Terraform
creates itself (of a self-signed certificate, of a storage account) and that providers store in the state.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from harness.settings import load

from devai_tasks import clouds
from devai_tasks.config.project import Project
from devai_tasks.config.secrets import TOKEN
from devai_tasks.targets.terraform import client
from devai_tasks.workspace import state

Run = Callable[..., CompletedProcess[str]]

CANARY = "canary-of-the-terraform-tests-0123456789"
PUSHED = f"sha256:{'1' * 64}"
# Sizes that Azure Container Instances offers; the other platforms offer the configured sizes.
SMALL = {"lab": {"cpu": 1, "memory": "2Gi"}, "ollama": {"cpu": 2, "memory": "4Gi"}}
SIZES: dict[tuple[str, str], Any] = {
    (cloud, platform): SMALL if (cloud, platform) == ("azure", "simple") else {}
    for cloud in ("aws", "azure", "gcp")
    for platform in ("kubernetes", "simple")
}
# The changes when `network.allowed_cidrs` changes.
RULE = "module.networking.aws_vpc_security_group_ingress_rule.gateway"
RULES = {
    "created": [f'{RULE}["198.19.0.0/16-443"]', f'{RULE}["198.19.0.0/16-80"]'],
    "destroyed": [f'{RULE}["192.0.2.0/24-443"]', f'{RULE}["192.0.2.0/24-80"]'],
}
VAULT = "azurerm_key_vault.this"
GATEWAY = 'module.networking.azurerm_network_security_rule.in["gateway-allowed"]'
ARMOR = "module.networking.google_compute_security_policy.this"
NETWORK_CHANGES: dict[tuple[str, str], dict[str, list[str]]] = {
    ("aws", "kubernetes"): {**RULES, "changed": ["module.kubernetes[0].aws_eks_cluster.this"]},
    ("aws", "simple"): RULES,
    ("azure", "kubernetes"): {"changed": [VAULT, "module.kubernetes[0].azurerm_kubernetes_cluster.this", GATEWAY]},
    ("azure", "simple"): {"changed": [VAULT, GATEWAY]},
    ("gcp", "kubernetes"): {"changed": ["module.kubernetes[0].google_container_cluster.this", ARMOR]},
    ("gcp", "simple"): {"changed": [ARMOR]},
}


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log of Terraform's command lines, which the process list would show; a wrapper script writes it."""
    log, folder = tmp_path / "arguments", tmp_path / "bin"
    folder.mkdir()
    script = folder / "terraform"
    script.write_text(f'#!/bin/sh\necho "$@" >> {log}\nexec {" ".join(client.find("auto"))} "$@"\n', encoding="utf-8")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    client.find.cache_clear()
    return log


@pytest.mark.parametrize(("cloud", "platform"), SIZES)
def test_stack_is_planned_applied_changed_and_destroyed(  # noqa: PLR0913, PLR0917 - fixtures
    project: Project, devai: Run, monkeypatch: pytest.MonkeyPatch, arguments: Path, cloud: str, platform: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    token = state.token(project, project.stack("dev", cloud))
    deployed = contents(project.root / "deploy")
    content = {
        "compute": {"platform": platform},
        "image": {"registry": "registry.example.org/lab", "digest": PUSHED},
        "resources": SIZES[cloud, platform],
    }
    stack_file(project, cloud, content)
    printed: list[str] = []

    def tf(task: str, *flags: str) -> str:
        result = devai(f"tf.{task}", f"--cloud={cloud}", "--offline", *flags)
        assert result.returncode == 0, result.stderr
        printed.extend((result.stdout, result.stderr))
        return result.stdout

    tf("init")
    planned = json.loads(tf("plan", "--json"))
    assert set(planned["counts"]) == {"created"}
    assert planned["offline"] is True
    first_plan = stored_texts(project)

    tf("apply", "--yes")
    outputs = json.loads(tf("output", "--json"))
    assert str(outputs.get("image")).endswith(f"@{PUSHED}") == (platform == "simple")
    assert outputs["registry"]
    assert outputs["url"] == "https://dev.lab.example.com/"
    assert bool(outputs.get("cluster_name")) == (platform == "kubernetes")
    assert outputs["secret_versions"] == {"JUPYTER_TOKEN": 1, "OPENAI_API_KEY": 1}
    settings = load(project, project.stack("dev", cloud))
    command = clouds.terraform_of(settings).secret_command(settings, TOKEN)
    assert token_flags(project, cloud) <= {*command}

    assert json.loads(tf("plan", "--json"))["empty"]
    stack_file(project, cloud, {**content, "network": {"allowed_cidrs": ["198.19.0.0/16"]}})
    changed = json.loads(tf("plan", "--json"))
    assert by_kind(changed) == NETWORK_CHANGES[cloud, platform]
    assert changed["outputs"] == []
    if cloud == "azure":  # another network can read the secrets only after the vault accepts it
        targeted = json.loads(tf("plan", "--json", f"--resource={VAULT}"))
        assert by_kind(targeted) == {"changed": [VAULT, GATEWAY]}
    texts = {"the first plan": "".join(first_plan.values()), **stored_texts(project)}

    tf("destroy", f"--confirm=devai-{cloud}-dev")
    remaining = json.loads(tf("state-list", "--json"))
    assert [address for address in remaining if address.startswith("module.storage.")]
    assert "terraform_data.stack" in remaining  # records the names that find the home again
    assert not [
        address for address in remaining if address.startswith(("module.compute", "module.kub", "module.registry"))
    ]
    if cloud == "azure":  # the home needs its resource group; network and vault, which cost money, are destroyed
        assert [address for address in remaining if not address.startswith(("data.", "module.storage."))] == [
            "azurerm_resource_group.this",
            "terraform_data.stack",
        ]
    tf("destroy", f"--confirm=devai-{cloud}-dev", "--data")
    assert json.loads(tf("state-list", "--json")) == []

    texts |= {"the output": "".join(printed), "the arguments": arguments.read_text(encoding="utf-8")}
    assert [name for name, text in texts.items() if CANARY in text or token in text] == []
    assert contents(project.root / "deploy") == deployed
    assert not (project.root / f".devai/{cloud}-dev/deployment.yaml").exists()
    assert not (project.root / f"generated/{cloud}-dev").exists()


# The resource whose change restarts the lab.
RESTARTS = {
    "aws": "module.compute[0].aws_ecs_task_definition.this",
    "azure": "module.compute[0].azurerm_container_group.this",
    "gcp": "module.compute[0].google_cloud_run_v2_service.this",
}


@pytest.mark.parametrize("cloud", RESTARTS)
def test_new_secret_value_restarts_lab_and_missing_value_keeps_it(
    project: Project, devai: Run, monkeypatch: pytest.MonkeyPatch, cloud: str
) -> None:
    flags = (f"--cloud={cloud}", "--offline")
    content = {
        "compute": {"platform": "simple"},
        "image": {"registry": "registry.example.org/lab", "digest": PUSHED},
        "resources": SIZES[cloud, "simple"],
    }
    stack_file(project, cloud, content)

    def changed_addresses() -> list[str]:
        planned = devai("tf.plan", *flags, "--json")
        assert planned.returncode == 0, planned.stderr
        return [change["address"] for change in json.loads(planned.stdout)["changes"]]

    for value in ("leaked", "other"):
        monkeypatch.setenv("OPENAI_API_KEY", value)
        assert RESTARTS[cloud] in changed_addresses()
        applied = devai("tf.apply", *flags, "--yes")
        assert applied.returncode == 0, applied.stderr
        assert changed_addresses() == []

    monkeypatch.delenv("OPENAI_API_KEY")
    assert changed_addresses() == []


# The resource of the home of protected stacks, and a size of Ollama that the platform offers.
PROTECTED = {
    ("aws", "kubernetes"): ("aws_efs_file_system", {}),
    ("azure", "kubernetes"): ("azurerm_storage_account", {}),
    # The backups are kept with the home.
    ("azure", "simple"): ("azurerm_backup_protected_file_share", SIZES["azure", "simple"]),
    ("gcp", "kubernetes"): ("google_filestore_instance", {}),
    ("gcp", "simple"): ("google_storage_bucket", {"ollama": {"cpu": 4, "memory": "16Gi"}}),
}


@pytest.mark.parametrize(("cloud", "platform"), PROTECTED)
def test_unprotected_stack_is_destroyed_with_cloud_protected_resources(
    project: Project, devai: Run, cloud: str, platform: str
) -> None:
    """Destroy a stack whose resources are still protected in the cloud, without replacing the home."""
    home, sizes = PROTECTED[cloud, platform]
    flags = (f"--cloud={cloud}", "--env=prod", "--offline", f"--confirm=devai-{cloud}-prod")
    content = {
        "compute": {"platform": platform, **({"replicas": {"min": 1, "max": 1}} if platform == "simple" else {})},
        "image": {"registry": "registry.example.org/lab", "digest": PUSHED},
        "resources": sizes,
        "terraform": {"certificate": "https://mine.vault.azure.net/secrets/lab"} if cloud == "azure" else {},
    }
    stack_file(project, cloud, content, env="prod")
    applied = devai("tf.apply", *flags)
    assert applied.returncode == 0, applied.stderr
    file = project.root / f".devai/{cloud}-prod/offline/terraform.tfstate"
    before = in_state(file, home)
    assert before

    stack_file(project, cloud, {**content, "protected": False}, env="prod")
    down = devai("tf.destroy", *flags)
    assert down.returncode == 0, down.stderr
    # Services of managed containers and Azure's resources have no deletion protection.
    is_protected = platform == "kubernetes" and cloud != "azure"
    disabled = "".join(re.findall("^disabling deletion protection of (.*)$", down.stderr, flags=re.MULTILINE))
    assert bool(disabled) == is_protected
    # Otherwise the secret's name could not be used again for a month.
    assert ("module.secrets.aws_secretsmanager_secret.this" in disabled) == (cloud == "aws")
    assert in_state(file, home) == before
    destroyed = devai("tf.destroy", *flags, "--data")
    assert destroyed.returncode == 0, destroyed.stderr
    assert devai("tf.state-list", *flags[:3]).stdout == ""


def test_service_of_protected_stack_can_be_stopped(project: Project, devai: Run) -> None:
    """Destroy the service, since Cloud Run cannot stop services; a service has no data."""
    flags = ("--cloud=gcp", "--env=prod", "--offline", "--confirm=devai-gcp-prod")
    running = {"compute": {"platform": "simple"}, "resources": PROTECTED["gcp", "simple"][1]}
    running["image"] = {"registry": "registry.example.org/lab", "digest": PUSHED}
    for content in (running, {**running, "image": {"digest": ""}}):
        stack_file(project, "gcp", content, env="prod")
        applied = devai("tf.apply", *flags)
        assert applied.returncode == 0, applied.stderr
    assert in_state(project.root / ".devai/gcp-prod/offline/terraform.tfstate", "google_cloud_run_v2_service") == []


def in_state(file: Path, kind: str) -> list[Any]:
    """Return the attributes of all instances of a resource type in a state."""
    resources = json.loads(file.read_text(encoding="utf-8"))["resources"]
    return [instance["attributes"] for entry in resources if entry["type"] == kind for instance in entry["instances"]]


def token_flags(project: Project, cloud: str) -> set[str]:
    """Return the flags by which the cloud's command line reads the token's secret."""
    file = project.root / f".devai/{cloud}-dev/offline/terraform.tfstate"
    match cloud:
        case "aws":
            names = {secret["name"] for secret in in_state(file, "aws_secretsmanager_secret")}
            (name,) = (name for name in names if name.endswith("TOKEN"))
            return {f"--secret-id={name}"}
        case "azure":
            names = {secret["name"] for secret in in_state(file, "azurerm_key_vault_secret")}
            (name,) = (name for name in names if name.endswith("TOKEN"))
            (vault,) = in_state(file, "azurerm_key_vault")
            return {f"--vault-name={vault['name']}", f"--name={name}"}
        case _:
            names = {secret["secret_id"] for secret in in_state(file, "google_secret_manager_secret")}
            (name,) = (name for name in names if name.endswith("TOKEN"))
            return {f"--secret={name}"}


def stack_file(project: Project, cloud: str, content: dict[str, Any], env: str = "dev") -> None:
    (project.conf / "stacks" / f"{cloud}-{env}.yaml").write_text(json.dumps(content), encoding="utf-8")


def by_kind(plan: Any) -> dict[str, list[str]]:
    result: dict[str, list[str]] = {}
    for change in plan["changes"]:
        result.setdefault(change["kind"], []).append(change["address"])
    return result


def contents(folder: Path) -> dict[str, str]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes().decode(errors="replace")
        for file in folder.rglob("*")
        if file.is_file()
    }


def stored_texts(project: Project) -> dict[str, str]:
    """Return the contents of all stored files except the token, such as plans and states; zip archives are unpacked."""
    import io
    import zipfile

    texts = {}
    for file in (project.root / ".devai").rglob("*"):
        if file.is_file() and file.name != "token":
            data = file.read_bytes()
            texts[str(file)] = data.decode(errors="replace")
            if zipfile.is_zipfile(io.BytesIO(data)):  # a plan
                with zipfile.ZipFile(io.BytesIO(data)) as archive:
                    texts[str(file)] = "".join(archive.read(n).decode(errors="replace") for n in archive.namelist())
    return texts
