"""Terraform's outputs, printed and recorded as configuration, so that other tasks need no input."""

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
    """Return values from the outputs for configuration keys that are set by a deployment; unknown keys are left out."""
    cloud, ingress = clouds.terraform_of(settings), outputs.get("ingress") or {}
    # The deployed image counts only if it is of the configured kind: images with and without GPU support differ.
    image = outputs.get("image") if outputs.get("gpu", settings.gpu.enabled) == settings.gpu.enabled else None
    values = {
        "image.registry": outputs.get("registry"),
        settings.image_digest_key: str(image or "").partition("@")[2],
        "kubernetes.context": outputs.get("kube_context"),
        "storage.file_system": _file_system(outputs, cloud),
        **cloud.outputs(outputs),
        # On Azure, a cluster's ingress refers to a certificate by the name under which the gateway has installed it.
        "tls.certificate": ingress.get("certificate_name") or outputs.get("certificate"),
    }
    keys = {".".join(map(str, key)) for key in reader.leaves(Settings)}
    versions = outputs.get("secret_versions") or {}
    return {
        **{key: str(value) for key, value in values.items() if value and key in keys},
        **{f"terraform.secret_versions.{name}": str(version) for name, version in versions.items()},
    }


def _file_system(outputs: Mapping[str, Any], cloud: TerraformCloud) -> str:
    """Return the file system of the home in the form that manifests use."""
    address, home = outputs.get("file_system"), (outputs.get("volumes") or {}).get("home")
    return cloud.file_system(address, home) if address and home else ""


def note(project: Project, settings: Settings, outputs: Mapping[str, Any], *, planning: bool = False) -> None:
    """Record the outputs as part of the stack's configuration, including those of an apply on another machine.

    With `planning`, an image digest that is recorded here is kept, because the image may have been pushed after the
    last apply.
    """
    values = known(outputs, settings)
    if planning and settings.is_image_pushed:
        values.pop(settings.image_digest_key, None)
    if values:
        state.record(project, settings.stack, values)


def text(value: Any) -> str:
    """Return an output as text for a table."""
    return value if isinstance(value, str) else json.dumps(value)
