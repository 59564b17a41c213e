"""All roots and modules, validated by the schemas and the value checks of the real providers.

Azure's provider is built from source. The other providers come from DEVAI_PROVIDER_DIR, since only their registry
publishes them; without this variable, their tests are skipped.
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
    """Return the folder with a provider; skip the test if there is none."""
    folder = os.environ.get("DEVAI_PROVIDER_DIR")
    if provider not in provider_snapshots.MODULES and not (
        folder and list(Path(folder).glob(f"*/hashicorp/{provider}"))
    ):
        pytest.skip(f"DEVAI_PROVIDER_DIR has no provider {provider}")
    return provider_snapshots.provider_folder(provider)


def initialized(source: Path, tmp_path: Path, provider: str) -> Terraform:
    """Return Terraform in a copy of a root or module, initialized with the real provider."""
    shutil.copytree(ROOTS, tmp_path / "terraform", ignore=shutil.ignore_patterns(".terraform*", "tests"))
    root = tmp_path / "terraform" / source.relative_to(ROOTS)
    terraform = Terraform(root, tmp_path / "data", mirror=mirror(provider))
    terraform.init(None, state=False)
    return terraform


@pytest.mark.parametrize("cloud", PROVIDERS)
def test_root_is_valid_for_real_provider(tmp_path: Path, cloud: str) -> None:
    initialized(ROOTS / cloud, tmp_path, PROVIDERS[cloud]).validate()


@pytest.mark.parametrize("module", MODULES, ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_module_is_valid_for_real_provider(tmp_path: Path, module: Path) -> None:
    initialized(module, tmp_path, PROVIDERS[module.name]).validate()


def test_azure_root_passes_its_tests_with_real_provider(tmp_path: Path) -> None:
    """Run the root's tests with the real provider, which validates the mocks and the planned values."""
    terraform = initialized(ROOTS / "azure", tmp_path, "azurerm")
    shutil.copytree(ROOTS / "azure/tests", terraform.root / "tests")
    terraform.init(None, state=False)  # for the modules that the tests use
    result = subprocess.run(
        [*find("auto"), "test", "-no-color"],
        cwd=terraform.root,
        env={**os.environ, "TF_DATA_DIR": str(terraform.data)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_real_provider_rejects_unknown_value(tmp_path: Path) -> None:
    terraform = initialized(ROOTS / "azure", tmp_path, "azurerm")
    (terraform.root / "wrong.tf").write_text(
        'resource "azurerm_container_registry" "wrong" {\n  name = "x12345"\n  resource_group_name = "x"\n'
        '  location = "westeurope"\n  sku = "Bronze"\n}\n',
        encoding="utf-8",
    )
    with pytest.raises(ToolError, match=r"expected sku to be one of"):
        terraform.validate()


@pytest.mark.parametrize("provider", PROVIDERS.values())
def test_snapshot_matches_real_provider(tmp_path: Path, provider: str) -> None:
    snapshot = read(FOLDER / f"{provider}.json")
    (tmp_path / "main.tf").write_text(
        "terraform {\n  required_providers {\n"
        f'    {provider} = {{ source = "hashicorp/{provider}", version = "{snapshot.version}" }}\n  }}\n}}\n',
        encoding="utf-8",
    )
    terraform = Terraform(tmp_path, tmp_path / "data", mirror=mirror(provider))
    terraform.init(None, state=False)
    real = of_real_provider(terraform.schemas(), snapshot.source, snapshot.version, snapshot.origin)
    known = real.only(Used(frozenset(snapshot.resources), frozenset(snapshot.data)))
    if "built from" in snapshot.origin:
        assert known == snapshot
    assert names(snapshot) <= names(known)


def names(snapshot: Snapshot) -> set[str]:
    """Return the paths of all arguments and attributes."""

    def below(path: str, block: object) -> set[str]:
        content = json.loads(json.dumps(block))
        paths = {f"{path}.{name}" for name in content["attributes"]}
        for name, entry in content["block_types"].items():
            paths |= below(f"{path}.{name}", entry["block"])
        return paths

    return set().union(*(below(name, block) for name, block in snapshot.resources.items()))


def test_tasks_use_providers_from_folder(project: Project, devai: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVAI_PROVIDER_DIR", str(mirror("azurerm")))
    fixed = project.root / "deploy/terraform/azure/versions.tf"
    assert "hashicorp/azurerm" in fixed.read_text(encoding="utf-8")
    result = devai("tf.validate", "--cloud=azure")
    assert result.returncode == 0, result.stderr
    assert "azure-dev: valid" in result.stderr
