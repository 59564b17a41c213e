"""The whole life of a stack in each cloud, through the tasks: the project's own roots, applied offline.

A secret goes with it, and is afterwards looked for everywhere. What no provider offers a better way for is no exception
here: the keys that Terraform makes itself (of a self-signed certificate, of a storage account) are not given to it.
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
# Sizes that each simple platform offers.
SMALL = {"lab": {"cpu": 1, "memory": "2Gi"}, "ollama": {"cpu": 2, "memory": "4Gi"}}
SIZES: dict[tuple[str, str], Any] = {
    (cloud, platform): SMALL if (cloud, platform) == ("azure", "simple") else {}
    for cloud in ("aws", "azure", "gcp")
    for platform in ("kubernetes", "simple")
}
# What of a stack changes when other networks may connect, and nothing else does.
RULE = "module.networking.aws_vpc_security_group_ingress_rule.gateway"
RULES = {
    "created": [f'{RULE}["198.19.0.0/16-443"]', f'{RULE}["198.19.0.0/16-80"]'],
    "destroyed": [f'{RULE}["192.0.2.0/24-443"]', f'{RULE}["192.0.2.0/24-80"]'],
}
VAULT = "azurerm_key_vault.this"
GATEWAY = 'module.networking.azurerm_network_security_rule.in["gateway-allowed"]'
ARMOR = "module.networking.google_compute_security_policy.this"
OPENED: dict[tuple[str, str], dict[str, list[str]]] = {
    ("aws", "kubernetes"): {**RULES, "changed": ["module.kubernetes[0].aws_eks_cluster.this"]},
    ("aws", "simple"): RULES,
    ("azure", "kubernetes"): {"changed": [VAULT, "module.kubernetes[0].azurerm_kubernetes_cluster.this", GATEWAY]},
    ("azure", "simple"): {"changed": [VAULT, GATEWAY]},
    ("gcp", "kubernetes"): {"changed": ["module.kubernetes[0].google_container_cluster.this", ARMOR]},
    ("gcp", "simple"): {"changed": [ARMOR]},
}


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Everything that Terraform is called with, as the process list would show it: it is called through a script."""
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
    said: list[str] = []

    def tf(task: str, *flags: str) -> str:
        result = devai(f"tf.{task}", f"--cloud={cloud}", "--offline", *flags)
        assert result.returncode == 0, result.stderr
        said.extend((result.stdout, result.stderr))
        return result.stdout

    tf("init")
    planned = json.loads(tf("plan", "--json"))
    assert set(planned["counts"]) == {"created"}
    assert planned["offline"] is True
    in_the_plan = kept(project)

    tf("apply", "--yes")
    outputs = json.loads(tf("output", "--json"))
    assert str(outputs.get("image")).endswith(f"@{PUSHED}") == (platform == "simple")
    assert outputs["registry"]
    assert outputs["url"] == "https://dev.lab.example.com/"
    assert bool(outputs.get("cluster_name")) == (platform == "kubernetes")
    assert outputs["secret_versions"] == {"JUPYTER_TOKEN": 1, "OPENAI_API_KEY": 1}
    settings = load(project, project.stack("dev", cloud))
    asked = clouds.terraform_of(settings).secret_command(settings, TOKEN)
    assert where_the_token_is(project, cloud) <= {*asked}

    assert json.loads(tf("plan", "--json"))["empty"]
    stack_file(project, cloud, {**content, "network": {"allowed_cidrs": ["198.19.0.0/16"]}})
    changed = json.loads(tf("plan", "--json"))
    assert by_kind(changed) == OPENED[cloud, platform]
    assert changed["outputs"] == []
    if cloud == "azure":  # from another network nobody reads the secrets before the vault lets it in
        alone = json.loads(tf("plan", "--json", f"--resource={VAULT}"))
        assert by_kind(alone) == {"changed": [VAULT, GATEWAY]}
    places = {"the first plan": "".join(in_the_plan.values()), **kept(project)}

    tf("destroy", f"--confirm=devai-{cloud}-dev")
    left = json.loads(tf("state-list", "--json"))
    assert [address for address in left if address.startswith("module.storage.")]
    assert "terraform_data.stack" in left  # by its names the home is found again
    assert not [address for address in left if address.startswith(("module.compute", "module.kub", "module.registry"))]
    if cloud == "azure":  # a home needs its group, and neither network nor vault, which cost something
        assert [address for address in left if not address.startswith(("data.", "module.storage."))] == [
            "azurerm_resource_group.this",
            "terraform_data.stack",
        ]
    tf("destroy", f"--confirm=devai-{cloud}-dev", "--data")
    assert json.loads(tf("state-list", "--json")) == []

    places |= {"what was said": "".join(said), "the arguments": arguments.read_text(encoding="utf-8")}
    assert [name for name, text in places.items() if CANARY in text or token in text] == []
    assert contents(project.root / "deploy") == deployed
    assert not (project.root / f".devai/{cloud}-dev/deployment.yaml").exists()
    assert not (project.root / f"generated/{cloud}-dev").exists()


# What of a service starts another lab when it changes.
STARTED_AGAIN = {
    "aws": "module.compute[0].aws_ecs_task_definition.this",
    "azure": "module.compute[0].azurerm_container_group.this",
    "gcp": "module.compute[0].google_cloud_run_v2_service.this",
}


@pytest.mark.parametrize("cloud", STARTED_AGAIN)
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

    def changing() -> list[str]:
        planned = devai("tf.plan", *flags, "--json")
        assert planned.returncode == 0, planned.stderr
        return [change["address"] for change in json.loads(planned.stdout)["changes"]]

    for value in ("leaked", "other"):
        monkeypatch.setenv("OPENAI_API_KEY", value)
        assert STARTED_AGAIN[cloud] in changing()
        applied = devai("tf.apply", *flags, "--yes")
        assert applied.returncode == 0, applied.stderr
        assert changing() == []

    monkeypatch.delenv("OPENAI_API_KEY")
    assert changing() == []


# The homes of protected stacks, and a size of Ollama that a platform offers.
PROTECTED = {
    ("aws", "kubernetes"): ("aws_efs_file_system", {}),
    ("azure", "kubernetes"): ("azurerm_storage_account", {}),
    # What is kept of its backups is the home's as well.
    ("azure", "simple"): ("azurerm_backup_protected_file_share", SIZES["azure", "simple"]),
    ("gcp", "kubernetes"): ("google_filestore_instance", {}),
    ("gcp", "simple"): ("google_storage_bucket", {"ollama": {"cpu": 4, "memory": "16Gi"}}),
}


@pytest.mark.parametrize(("cloud", "platform"), PROTECTED)
def test_unprotected_stack_is_destroyed_with_cloud_protected_resources(
    project: Project, devai: Run, cloud: str, platform: str
) -> None:
    """As the cloud has it, it still is; and the home, which is another one without protection, is not replaced."""
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
    held = platform == "kubernetes" and cloud != "azure"  # a service holds nothing; Azure has nothing of the kind
    lifted = "".join(re.findall("^disabling deletion protection of (.*)$", down.stderr, flags=re.MULTILINE))
    assert bool(lifted) == held
    # For a month nobody could have a secret of the same name.
    assert ("module.secrets.aws_secretsmanager_secret.this" in lifted) == (cloud == "aws")
    assert in_state(file, home) == before
    gone = devai("tf.destroy", *flags, "--data")
    assert gone.returncode == 0, gone.stderr
    assert devai("tf.state-list", *flags[:3]).stdout == ""


def test_service_of_protected_stack_can_be_stopped(project: Project, devai: Run) -> None:
    """It holds no data, and Cloud Run has no stopped services: it goes, and comes again."""
    flags = ("--cloud=gcp", "--env=prod", "--offline", "--confirm=devai-gcp-prod")
    running = {"compute": {"platform": "simple"}, "resources": PROTECTED["gcp", "simple"][1]}
    running["image"] = {"registry": "registry.example.org/lab", "digest": PUSHED}
    for content in (running, {**running, "image": {"digest": ""}}):
        stack_file(project, "gcp", content, env="prod")
        applied = devai("tf.apply", *flags)
        assert applied.returncode == 0, applied.stderr
    assert in_state(project.root / ".devai/gcp-prod/offline/terraform.tfstate", "google_cloud_run_v2_service") == []


def in_state(file: Path, kind: str) -> list[Any]:
    """All that a state has of a type."""
    resources = json.loads(file.read_text(encoding="utf-8"))["resources"]
    return [one["attributes"] for entry in resources if entry["type"] == kind for one in entry["instances"]]


def where_the_token_is(project: Project, cloud: str) -> set[str]:
    """The flags by which a cloud's command line is told of the secret that was made."""
    file = project.root / f".devai/{cloud}-dev/offline/terraform.tfstate"
    match cloud:
        case "aws":
            names = {one["name"] for one in in_state(file, "aws_secretsmanager_secret")}
            (name,) = (name for name in names if name.endswith("TOKEN"))
            return {f"--secret-id={name}"}
        case "azure":
            names = {one["name"] for one in in_state(file, "azurerm_key_vault_secret")}
            (name,) = (name for name in names if name.endswith("TOKEN"))
            (vault,) = in_state(file, "azurerm_key_vault")
            return {f"--vault-name={vault['name']}", f"--name={name}"}
        case _:
            names = {one["secret_id"] for one in in_state(file, "google_secret_manager_secret")}
            (name,) = (name for name in names if name.endswith("TOKEN"))
            return {f"--secret={name}"}


def stack_file(project: Project, cloud: str, content: dict[str, Any], env: str = "dev") -> None:
    (project.conf / "stacks" / f"{cloud}-{env}.yaml").write_text(json.dumps(content), encoding="utf-8")


def by_kind(plan: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for change in plan["changes"]:
        found.setdefault(change["kind"], []).append(change["address"])
    return found


def contents(folder: Path) -> dict[str, str]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes().decode(errors="replace")
        for file in folder.rglob("*")
        if file.is_file()
    }


def kept(project: Project) -> dict[str, str]:
    """All that is kept of a stack beside its token: plans, state, artifacts; zipped files unpacked."""
    import io
    import zipfile

    found = {}
    for file in (project.root / ".devai").rglob("*"):
        if file.is_file() and file.name != "token":
            data = file.read_bytes()
            found[str(file)] = data.decode(errors="replace")
            if zipfile.is_zipfile(io.BytesIO(data)):  # a plan
                with zipfile.ZipFile(io.BytesIO(data)) as archive:
                    found[str(file)] = "".join(archive.read(n).decode(errors="replace") for n in archive.namelist())
    return found
