"""Terraform's outputs: shown, and noted as what the deployment knows, so that other tasks need nothing typed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from devai_tasks import state
from devai_tasks.config import reader, targets
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings


def known(outputs: Mapping[str, Any], settings: Settings) -> dict[str, str]:
    """What the outputs tell of the configuration's pending keys; those that the schema doesn't have are left out."""
    provider, ingress = settings.compute.provider, outputs.get("ingress") or {}
    # An image for GPUs is another one than that which runs without.
    runs = outputs.get("image") if outputs.get("gpu", settings.gpu.enabled) == settings.gpu.enabled else None
    told = {
        "image.registry": outputs.get("registry"),
        targets.digest_key(settings): str(runs or "").partition("@")[2],
        "kubernetes.context": outputs.get("kube_context"),
        "kubernetes.identity": outputs.get("identity") if provider != "aws" else None,
        "storage.file_system": _file_system(outputs, provider),
        "ingress.address": ingress.get("address_name") if provider == "gcp" else None,
        "ingress.firewall": ingress.get("firewall") if provider != "azure" else None,
        # On Azure a cluster names what the gateway has installed.
        "tls.certificate": ingress.get("certificate_name") or outputs.get("certificate"),
    }
    keys = {".".join(map(str, key)) for key in reader.leaves(Settings)}
    versions = outputs.get("secret_versions") or {}
    return {
        **{key: str(value) for key, value in told.items() if value and key in keys},
        **{f"terraform.secret_versions.{name}": str(version) for name, version in versions.items()},
    }


def _file_system(outputs: Mapping[str, Any], provider: str) -> str:
    """The home as manifests name it: EFS's volume handle, `account/share`, `zone/instance/share@ip`."""
    file_system, home = outputs.get("file_system"), (outputs.get("volumes") or {}).get("home")
    if not (file_system and home):
        return ""
    match provider:
        case "aws":
            return str(home)
        case "azure":
            return f"{file_system}/{home}"
        case _:
            return f"{home.removeprefix('modeInstance/')}@{file_system}"


def note(project: Project, settings: Settings, outputs: Mapping[str, Any], *, planning: bool = False) -> None:
    """Make them part of the stack's configuration, also those of an apply on another machine.

    Before `planning`, an image that is known here stays the one to roll out: it may have been pushed since.
    """
    values = known(outputs, settings)
    if planning and targets.pushed(settings):
        values.pop(targets.digest_key(settings), None)
    if values:
        state.record(project, settings.stack, values)


def text(value: Any) -> str:
    """An output for a table."""
    return value if isinstance(value, str) else json.dumps(value)
