"""Where Terraform works for a stack: on the project's own root, or on a copy in which something is different."""

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
_LATCH = re.compile(r"^\s+prevent_destroy\s*=\s*true\b", re.MULTILINE)

# How often, and after how many seconds again, a state is read that another process is writing.
_READS, _READ_SECONDS = 50, 0.1


@dataclass(frozen=True)
class Site:
    """One root with what belongs to it."""

    root: Path
    home: Path
    """What Terraform keeps for the stack on this machine: modules and providers, and the saved plan."""
    values: Path
    backend: Path | None
    """The file with the backend's settings; None where the root says all of them."""
    expected: Mapping[str, object]
    """The backend's settings, to compare with those in force."""

    @property
    def data(self) -> Path:
        """Terraform's TF_DATA_DIR."""
        return self.home / "data"

    @property
    def plan(self) -> Path:
        """The saved plan."""
        return self.home / "plan"

    @property
    def fingerprint(self) -> str:
        """Of everything here that a plan rests on."""
        digest = hashlib.sha256(self.sources.encode())
        for file in filter(None, (self.values, self.backend)):
            digest.update(file.read_bytes())
        return digest.hexdigest()

    @property
    def sources(self) -> str:
        """The fingerprint of the root and the modules beside it, with the scripts that those read."""
        digest = hashlib.sha256(os.environ.get("DEVAI_PROVIDER_DIR", "").encode())
        modules = (file for file in self.root.parent.glob("modules/**/*.*") if file.is_file() and file.suffix != ".md")
        for file in sorted([*self.root.glob("*.tf*"), *modules]):
            digest.update(f"{file.relative_to(self.root.parent)}\0".encode() + file.read_bytes())
        return digest.hexdigest()


def own(project: Project, settings: Settings) -> Site:
    """The project's own root, with the artifacts rendered."""
    folder = artifacts.provide(project, settings.stack, lambda _: rendering.render(settings))
    provider = settings.compute.provider
    return Site(
        root=project.root / "deploy/terraform" / provider,
        home=project.state(settings.stack) / "terraform",
        values=folder / TFVARS[provider],
        backend=folder / BACKEND,
        expected=clouds.terraform_of(settings).backend(settings),
    )


def offline(project: Project, settings: Settings, *, dry: bool) -> Site:
    """A copy whose state is a file beside it, so that nothing of it can be taken for the real one."""
    provider, home = settings.compute.provider, project.state(settings.stack) / "offline"
    root, values = home / "deploy" / provider, home / f"{provider}.tfvars.json"
    file = os.path.relpath(home / "terraform.tfstate", root)
    if not dry:
        _copy(project, provider, home)
        _write(root / "backend_override.tf", f'terraform {{\n  backend "local" {{\n    path = "{file}"\n  }}\n}}\n')
        _write(values, rendering.render(settings)[TFVARS[provider]])
    return Site(root, home, values, None, {"path": file})


def offline_state(project: Project, settings: Settings) -> dict[str, Any]:
    """Return the state of a stack's offline copy; nothing where there is none yet."""
    file = project.state(settings.stack) / "offline/terraform.tfstate"
    for _ in range(_READS):
        text = file.read_text(encoding="utf-8") if file.exists() else "{}"
        with suppress(ValueError):
            found: dict[str, Any] = json.loads(text)
            return found
        # Terraform writes its state in place, and one that outlived a killed task may be at it.
        time.sleep(_READ_SECONDS)
    raise DevaiError(f"{file} is no state of Terraform", hint="remove it, and the stack's offline copy starts over")


def without_prevent_destroy(project: Project, settings: Settings, site: Site, *, dry: bool) -> Site:
    """Return a copy of a site without `prevent_destroy`, to destroy data as well; its state is the same."""
    own = _copied(project, settings, site, "without-prevent-destroy", dry=dry)
    if not dry:
        lift_latches(own.root.parent)
    return own


def unprotected(
    project: Project, settings: Settings, site: Site, arguments: Mapping[tuple[str, str], Mapping[str, Any]]
) -> Site:
    """A copy of a site in which some resources, by type and name, have other arguments, which let them go.

    Else it is as of a protected stack: without that, file systems and vaults would be others, too.
    """
    own = _copied(project, settings, site, "unprotected", dry=False)
    for file in sorted(own.root.parent.rglob("*.tf")):
        blocks = [
            _block(kind, name, [f"{argument} = {json.dumps(value)}" for argument, value in sorted(given.items())])
            for kind, name, _ in _RESOURCE.findall(file.read_text(encoding="utf-8"))
            if (given := arguments.get((kind, name)))
        ]
        if blocks:
            _write(file.with_name(f"{file.stem}_destroyable_override.tf"), "\n".join(blocks))
    values = own.home / "protected.tfvars.json"
    _write(values, json.dumps({**json.loads(site.values.read_text(encoding="utf-8")), "protected": True}))
    return dataclasses.replace(own, values=values)


def latches(folder: Path) -> dict[Path, list[tuple[str, str]]]:
    """The resources that are latched against destruction, type and name, for each file below a folder."""
    found = {}
    for file in sorted(folder.rglob("*.tf")):
        resources = _RESOURCE.findall(file.read_text(encoding="utf-8"))
        latched = [(kind, name) for kind, name, body in resources if _LATCH.search(body)]
        if latched:
            found[file] = latched
    return found


def lift_latches(folder: Path) -> None:
    """Add an override beside each file with a latch: Terraform merges the arguments of `lifecycle` one by one."""
    for file, resources in latches(folder).items():
        blocks = [_block(kind, name, ["lifecycle {", "  prevent_destroy = false", "}"]) for kind, name in resources]
        _write(file.with_name(f"{file.stem}_destroyable_override.tf"), "\n".join(blocks))


def _block(kind: str, name: str, lines: Sequence[str]) -> str:
    return "\n".join([f'resource "{kind}" "{name}" {{', *(f"  {line}" for line in lines), "}", ""])


def _copied(project: Project, settings: Settings, site: Site, name: str, *, dry: bool) -> Site:
    """A copy of a site, with the same state; offline it is one already."""
    if not site.backend:
        return site
    provider, home = settings.compute.provider, project.state(settings.stack) / name
    if not dry:
        _copy(project, provider, home)
    return Site(home / "deploy" / provider, home, site.values, site.backend, site.expected)


def _copy(project: Project, provider: str, home: Path) -> None:
    """Copy a root and the modules to a folder of the stack."""
    state.private_folder(home)
    source, target = project.root / "deploy/terraform", home / "deploy"
    shutil.rmtree(target, ignore_errors=True)
    for part in (provider, "modules"):
        if (source / part).is_dir():
            ignored = shutil.ignore_patterns(".terraform*", "*.tfstate*", "tests")
            shutil.copytree(source / part, target / part, ignore=ignored)


def _write(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
