"""The roots and every module, validated by the real providers: their own schemas and their own checks of values.

Azure's is built from its source. The others are taken from DEVAI_PROVIDER_DIR, and passed by without it: there is no
way to them but their registry.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from devai_tasks.config.project import Project
from devai_tasks.offline.recording import FOLDER, Snapshot, Used, of_real_provider, read
from devai_tasks.system.errors import ToolError
from devai_tasks.targets.terraform import provider_snapshots
from devai_tasks.targets.terraform.client import Terraform, find

Run = Callable[..., CompletedProcess[str]]
ROOTS = Path(__file__).parents[2] / "deploy/terraform"
PROVIDERS = {"aws": "aws", "azure": "azurerm", "gcp": "google"}
MODULES = [folder for cloud in PROVIDERS for folder in sorted(ROOTS.glob(f"modules/*/{cloud}"))]


def mirror(provider: str) -> Path:
    """The folder that a provider is taken from; skipped without one."""
    given = os.environ.get("DEVAI_PROVIDER_DIR")
    if provider not in provider_snapshots.MODULES and not (given and list(Path(given).glob(f"*/hashicorp/{provider}"))):
        pytest.skip(f"DEVAI_PROVIDER_DIR names no folder with {provider}")
    return provider_snapshots.provider_folder(provider)


def prepared(source: Path, tmp_path: Path, provider: str) -> Terraform:
    """A folder of the configuration, copied with all the others, with its providers."""
    shutil.copytree(ROOTS, tmp_path / "terraform", ignore=shutil.ignore_patterns(".terraform*", "tests"))
    root = tmp_path / "terraform" / source.relative_to(ROOTS)
    terraform = Terraform(root, tmp_path / "data", mirror=mirror(provider))
    terraform.init(None, state=False)
    return terraform


@pytest.mark.parametrize("cloud", PROVIDERS)
def test_root_is_valid_for_real_provider(tmp_path: Path, cloud: str) -> None:
    prepared(ROOTS / cloud, tmp_path, PROVIDERS[cloud]).validate()


@pytest.mark.parametrize("module", MODULES, ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_module_is_valid_for_real_provider(tmp_path: Path, module: Path) -> None:
    prepared(module, tmp_path, PROVIDERS[module.name]).validate()


def test_azure_root_passes_its_tests_with_real_provider(tmp_path: Path) -> None:
    """Its mocks have the form that the provider wants, and the provider checks what is planned with them."""
    terraform = prepared(ROOTS / "azure", tmp_path, "azurerm")
    shutil.copytree(ROOTS / "azure/tests", terraform.root / "tests")
    terraform.init(None, state=False)  # of the modules that the tests name
    done = subprocess.run(
        [*find("auto"), "test", "-no-color"],
        cwd=terraform.root,
        env={**os.environ, "TF_DATA_DIR": str(terraform.data)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_real_provider_rejects_unknown_value(tmp_path: Path) -> None:
    terraform = prepared(ROOTS / "azure", tmp_path, "azurerm")
    (terraform.root / "wrong.tf").write_text(
        'resource "azurerm_container_registry" "wrong" {\n  name = "x12345"\n  resource_group_name = "x"\n'
        '  location = "westeurope"\n  sku = "Bronze"\n}\n',
        encoding="utf-8",
    )
    with pytest.raises(ToolError, match=r"expected sku to be one of"):
        terraform.validate()


@pytest.mark.parametrize("provider", PROVIDERS.values())
def test_snapshot_matches_real_provider(tmp_path: Path, provider: str) -> None:
    recorded = read(FOLDER / f"{provider}.json")
    (tmp_path / "main.tf").write_text(
        "terraform {\n  required_providers {\n"
        f'    {provider} = {{ source = "hashicorp/{provider}", version = "{recorded.version}" }}\n  }}\n}}\n',
        encoding="utf-8",
    )
    terraform = Terraform(tmp_path, tmp_path / "data", mirror=mirror(provider))
    terraform.init(None, state=False)
    real = of_real_provider(terraform.schemas(), recorded.source, recorded.version, recorded.origin)
    known = real.only(Used(frozenset(recorded.resources), frozenset(recorded.data)))
    if "built from" in recorded.origin:
        assert known == recorded
    assert names(recorded) <= names(known)


def names(recording: Snapshot) -> set[str]:
    """Every argument and attribute, by its path."""

    def below(path: str, block: object) -> set[str]:
        content = json.loads(json.dumps(block))
        found = {f"{path}.{name}" for name in content["attributes"]}
        for name, entry in content["block_types"].items():
            found |= below(f"{path}.{name}", entry["block"])
        return found

    return set().union(*(below(name, block) for name, block in recording.resources.items()))


def test_tasks_use_providers_from_folder(project: Project, devai: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVAI_PROVIDER_DIR", str(mirror("azurerm")))
    fixed = project.root / "deploy/terraform/azure/versions.tf"
    assert "hashicorp/azurerm" in fixed.read_text(encoding="utf-8")
    result = devai("tf.validate", "--cloud=azure")
    assert result.returncode == 0, result.stderr
    assert "azure-dev: valid" in result.stderr
