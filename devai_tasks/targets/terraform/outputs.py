"""Terraform's outputs: shown, and noted as what the deployment knows, so that other tasks need nothing typed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from devai_tasks import clouds
from devai_tasks.clouds.terraform import TerraformCloud
from devai_tasks.config import reader
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.workspace import state


def known(outputs: Mapping[str, Any], settings: Settings) -> dict[str, str]:
    """What the outputs tell of the configuration's pending keys; those that the schema doesn't have are left out."""
    cloud, ingress = clouds.terraform_of(settings), outputs.get("ingress") or {}
    # An image for GPUs is another one than that which runs without.
    runs = outputs.get("image") if outputs.get("gpu", settings.gpu.enabled) == settings.gpu.enabled else None
    told = {
        "image.registry": outputs.get("registry"),
        settings.image_digest_key: str(runs or "").partition("@")[2],
        "kubernetes.context": outputs.get("kube_context"),
        "storage.file_system": _file_system(outputs, cloud),
        **cloud.outputs(outputs),
        # On Azure a cluster names what the gateway has installed.
        "tls.certificate": ingress.get("certificate_name") or outputs.get("certificate"),
    }
    keys = {".".join(map(str, key)) for key in reader.leaves(Settings)}
    versions = outputs.get("secret_versions") or {}
    return {
        **{key: str(value) for key, value in told.items() if value and key in keys},
        **{f"terraform.secret_versions.{name}": str(version) for name, version in versions.items()},
    }


def _file_system(outputs: Mapping[str, Any], cloud: TerraformCloud) -> str:
    """Return the home as manifests name it."""
    address, home = outputs.get("file_system"), (outputs.get("volumes") or {}).get("home")
    return cloud.file_system(address, home) if address and home else ""


def note(project: Project, settings: Settings, outputs: Mapping[str, Any], *, planning: bool = False) -> None:
    """Make them part of the stack's configuration, also those of an apply on another machine.

    Before `planning`, an image that is known here stays the one to roll out: it may have been pushed since.
    """
    values = known(outputs, settings)
    if planning and settings.is_image_pushed:
        values.pop(settings.image_digest_key, None)
    if values:
        state.record(project, settings.stack, values)


def text(value: Any) -> str:
    """An output for a table."""
    return value if isinstance(value, str) else json.dumps(value)
