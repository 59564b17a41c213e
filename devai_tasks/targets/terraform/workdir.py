"""Terraform's working directory for a stack: the project's root module, or a modified copy of it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devai_tasks import clouds
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.system.errors import DevaiError
from devai_tasks.targets.terraform import rendering
from devai_tasks.targets.terraform.rendering import BACKEND, TFVARS
from devai_tasks.workspace import artifacts, state

_RESOURCE = re.compile(r'^resource "(\w+)" "(\w+)" \{(.*?)^\}', re.MULTILINE | re.DOTALL)
_PREVENT_DESTROY = re.compile(r"^\s+prevent_destroy\s*=\s*true\b", re.MULTILINE)

# Number of attempts to read a state that another process is writing, and the seconds between them.
_READS, _READ_SECONDS = 50, 0.1


@dataclass(frozen=True)
class Workdir:
    """A root module with its data directory and input files."""

    root: Path
    home: Path
    """Folder of what Terraform keeps for the stack on this machine: modules, providers and the saved plan."""
    values: Path
    backend: Path | None
    """The file with the backend's settings; None if the root module contains all of them."""
    expected: Mapping[str, object]
    """The backend's expected settings, to compare with the active ones."""

    @property
    def data(self) -> Path:
        """The folder for TF_DATA_DIR."""
        return self.home / "data"

    @property
    def plan(self) -> Path:
        """The file of the saved plan."""
        return self.home / "plan"

    @property
    def fingerprint(self) -> str:
        """Fingerprint of everything in the working directory that a plan depends on."""
        digest = hashlib.sha256(self.sources.encode())
        for file in filter(None, (self.values, self.backend)):
            digest.update(file.read_bytes())
        return digest.hexdigest()

    @property
    def sources(self) -> str:
        """Fingerprint of the root module and the modules beside it, including the scripts that modules read."""
        digest = hashlib.sha256(os.environ.get("DEVAI_PROVIDER_DIR", "").encode())
        modules = (file for file in self.root.parent.glob("modules/**/*.*") if file.is_file() and file.suffix != ".md")
        for file in sorted([*self.root.glob("*.tf*"), *modules]):
            digest.update(f"{file.relative_to(self.root.parent)}\0".encode() + file.read_bytes())
        return digest.hexdigest()


def of_project(project: Project, settings: Settings) -> Workdir:
    """Return the working directory on the project's own root module, with the input files rendered."""
    folder = artifacts.provide(project, settings.stack, lambda _: rendering.render(settings))
    provider = settings.compute.provider
    return Workdir(
        root=project.root / "deploy/terraform" / provider,
        home=project.state(settings.stack) / "terraform",
        values=folder / TFVARS[provider],
        backend=folder / BACKEND,
        expected=clouds.terraform_of(settings).backend(settings),
    )


def offline(project: Project, settings: Settings, *, dry: bool) -> Workdir:
    """Return a copy for offline use, whose state is a local file separate from the real state."""
    provider, home = settings.compute.provider, project.state(settings.stack) / "offline"
    root, values = home / "deploy" / provider, home / f"{provider}.tfvars.json"
    file = os.path.relpath(home / "terraform.tfstate", root)
    if not dry:
        _copy(project, provider, home)
        _write(root / "backend_override.tf", f'terraform {{\n  backend "local" {{\n    path = "{file}"\n  }}\n}}\n')
        _write(values, rendering.render(settings)[TFVARS[provider]])
    return Workdir(root, home, values, None, {"path": file})


def offline_state(project: Project, settings: Settings) -> dict[str, Any]:
    """Return the state of a stack's offline copy; an empty mapping if there is none yet.

    Raises:
        DevaiError: the file is not a Terraform state.
    """
    file = project.state(settings.stack) / "offline/terraform.tfstate"
    for _ in range(_READS):
        text = file.read_text(encoding="utf-8") if file.exists() else "{}"
        with suppress(ValueError):
            content: dict[str, Any] = json.loads(text)
            return content
        # Terraform writes its state in place, and a Terraform that outlived a killed task may still be writing.
        time.sleep(_READ_SECONDS)
    raise DevaiError(
        f"{file} is not a Terraform state", hint="delete the file to start over with an empty offline copy"
    )


def without_prevent_destroy(project: Project, settings: Settings, workdir: Workdir, *, dry: bool) -> Workdir:
    """Return a copy without `prevent_destroy` and with the same state, to destroy data as well."""
    copy = _copied(project, settings, workdir, "without-prevent-destroy", dry=dry)
    if not dry:
        disable_prevent_destroy(copy.root.parent)
    return copy


def unprotected(
    project: Project, settings: Settings, workdir: Workdir, arguments: Mapping[tuple[str, str], Mapping[str, Any]]
) -> Workdir:
    """Return a copy in which some resources, by type and name, have arguments that disable deletion protection.

    All other values are those of a protected stack. Without them, file systems and vaults would be replaced, too.
    """
    copy = _copied(project, settings, workdir, "unprotected", dry=False)
    for file in sorted(copy.root.parent.rglob("*.tf")):
        blocks = [
            _block(kind, name, [f"{argument} = {json.dumps(value)}" for argument, value in sorted(changes.items())])
            for kind, name, _ in _RESOURCE.findall(file.read_text(encoding="utf-8"))
            if (changes := arguments.get((kind, name)))
        ]
        if blocks:
            _write(file.with_name(f"{file.stem}_destroyable_override.tf"), "\n".join(blocks))
    values = copy.home / "protected.tfvars.json"
    _write(values, json.dumps({**json.loads(workdir.values.read_text(encoding="utf-8")), "protected": True}))
    return dataclasses.replace(copy, values=values)


def prevent_destroy_resources(folder: Path) -> dict[Path, list[tuple[str, str]]]:
    """Return the resources with `prevent_destroy`, as type and name, for each file below a folder."""
    resources_by_file = {}
    for file in sorted(folder.rglob("*.tf")):
        resources = _RESOURCE.findall(file.read_text(encoding="utf-8"))
        protected = [(kind, name) for kind, name, body in resources if _PREVENT_DESTROY.search(body)]
        if protected:
            resources_by_file[file] = protected
    return resources_by_file


def disable_prevent_destroy(folder: Path) -> None:
    """Add an override file beside each file that has `prevent_destroy`.

    Terraform merges the arguments of `lifecycle` one by one
    (https://developer.hashicorp.com/terraform/language/files/override).
    """
    for file, resources in prevent_destroy_resources(folder).items():
        blocks = [_block(kind, name, ["lifecycle {", "  prevent_destroy = false", "}"]) for kind, name in resources]
        _write(file.with_name(f"{file.stem}_destroyable_override.tf"), "\n".join(blocks))


def _block(kind: str, name: str, lines: Sequence[str]) -> str:
    return "\n".join([f'resource "{kind}" "{name}" {{', *(f"  {line}" for line in lines), "}", ""])


def _copied(project: Project, settings: Settings, workdir: Workdir, name: str, *, dry: bool) -> Workdir:
    """Return a copy of a working directory with the same state; an offline one is a copy already."""
    if not workdir.backend:
        return workdir
    provider, home = settings.compute.provider, project.state(settings.stack) / name
    if not dry:
        _copy(project, provider, home)
    return Workdir(home / "deploy" / provider, home, workdir.values, workdir.backend, workdir.expected)


def _copy(project: Project, provider: str, home: Path) -> None:
    """Copy a root module and the shared modules to a folder of the stack."""
    state.private_folder(home)
    source, target = project.root / "deploy/terraform", home / "deploy"
    shutil.rmtree(target, ignore_errors=True)
    for part in (provider, "modules"):
        if (source / part).is_dir():
            ignored = shutil.ignore_patterns(".terraform*", "*.tfstate*", "tests")
            shutil.copytree(source / part, target / part, ignore=ignored)


def _write(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
