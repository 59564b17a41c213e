"""Provider schema snapshots, updated from published packages or, for Azure, from the provider itself."""

from __future__ import annotations

import os
import platform
import tempfile
from dataclasses import dataclass
from pathlib import Path

from devai_tasks.config.project import Project
from devai_tasks.offline import cdktf, recording
from devai_tasks.offline.recording import Snapshot, Used
from devai_tasks.system import console, go, pip
from devai_tasks.system.errors import UsageError, unknown
from devai_tasks.targets.terraform.client import Terraform

REGISTRY = "registry.terraform.io/hashicorp"


@dataclass(frozen=True)
class Module:
    """A provider that can be built from its Go module."""

    path: str
    version: str
    """The module's version: a pseudo-version, because the provider's releases are not versions of its Go module."""
    provider_version: str
    """The provider release that this source corresponds to, at least approximately."""


# The last packages of CDK for Terraform, which is archived: newer schemas are not published this way.
PACKAGES = {
    "aws": "cdktf-cdktf-provider-aws ==21.22.1",
    "google": "cdktf-cdktf-provider-google ==16.12.1",
    "tls": "cdktf-cdktf-provider-tls ==11.0.1",
}
MODULES = {
    "azurerm": Module(
        "github.com/hashicorp/terraform-provider-azurerm", "v1.44.1-0.20260824201233-fae580791926", "5.2.0"
    ),
}


def record(project: Project, name: str, folder: Path) -> Path:
    """Write the schema snapshot of one provider, with the types that the project uses; return the file."""
    if name not in (*PACKAGES, *MODULES):
        raise UsageError(unknown("provider", name, [*PACKAGES, *MODULES]))
    with console.step(f"updating the schema snapshot of {name}"), tempfile.TemporaryDirectory() as scratch:
        snapshot = _of_package(name, Path(scratch)) if name in PACKAGES else _of_provider(name, Path(scratch))
    return snapshot.only(Used.below(project.root / "deploy/terraform")).write(folder)


def provider_folder(name: str) -> Path:
    """Return a folder from which Terraform installs a provider: DEVAI_PROVIDER_DIR, or one with a local build.

    Builds take minutes and are therefore kept in the user's cache.
    """
    if folder := os.environ.get("DEVAI_PROVIDER_DIR"):
        return Path(folder)
    module = MODULES[name]
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "devai-tasks/providers"
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    version = module.provider_version
    target = cache / REGISTRY / name / version / f"{platform.system().lower()}_{machine}"
    if not target.is_dir():
        with console.step(f"building the provider {name} {version} (takes minutes, only once)"):
            go.install(f"{module.path}@{module.version}", target)
        program = target / module.path.rpartition("/")[2]
        program.rename(target / f"{program.name}_v{version}")
    return cache


def _of_package(name: str, scratch: Path) -> Snapshot:
    pip.unpack(PACKAGES[name], scratch)
    (archive,) = scratch.rglob("*.jsii.tgz")
    return cdktf.record(archive, f"{REGISTRY}/{name}", f"{PACKAGES[name]} (PyPI)")


def _of_provider(name: str, scratch: Path) -> Snapshot:
    module = MODULES[name]
    requirement = f'{{ source = "hashicorp/{name}", version = "{module.provider_version}" }}'
    (scratch / "main.tf").write_text(
        f"terraform {{\n  required_providers {{\n    {name} = {requirement}\n  }}\n}}\n", encoding="utf-8"
    )
    terraform = Terraform(scratch, scratch / "data", mirror=provider_folder(name))
    terraform.init(None, state=False)
    origin = f"the provider, built from {module.path}@{module.version}"
    return recording.of_real_provider(terraform.schemas(), f"{REGISTRY}/{name}", module.provider_version, origin)
