"""Terraform's input files for one stack: the variables of its root module, and its backend configuration."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from devai_tasks import clouds
from devai_tasks.config import image_names, naming
from devai_tasks.config.schema import Settings
from devai_tasks.config.secrets import TOKEN
from devai_tasks.config.sections.lab import LabLimits, OllamaLimits
from devai_tasks.targets.base import LAB_PORT, Artifact, texts
from devai_tasks.workspace.writer import Artifacts

# Files with the variables of each root module, and with the backend configuration.
TFVARS = {name: f"terraform/{name}.tfvars.json" for name in clouds.WITH_TERRAFORM}
BACKEND = "terraform/state.tfbackend"


def variables(settings: Settings) -> dict[str, Any]:
    """Return every variable with its value; names and units are the same for all three providers."""
    return {
        "name": naming.name(settings),
        "unique": naming.unique(settings),
        "project_name": settings.project.name,
        "project_id": settings.project.id,
        "environment": settings.stack.environment,
        "region": settings.terraform.region,
        "account": settings.terraform.account,
        "protected": settings.protected,
        "labels": clouds.terraform_of(settings).labels(settings.labels),
        "compute_platform": settings.compute.platform,
        "min_replicas": settings.compute.replicas.min,
        "max_replicas": settings.compute.replicas.max,
        "enable_gpu": settings.gpu.enabled,
        "gpu_machine_type": settings.gpu.machine_type,
        "namespace": naming.stack(settings),
        # Without a pushed image, the root modules create everything except the services that would run it.
        "image": image_names.pushed_lab(settings) if settings.is_image_pushed else None,
        # A cluster's load balancer connects to the pods; the service's port is used inside the cluster only.
        "port": settings.ports.lab if not settings.compute.uses_kubernetes else LAB_PORT,
        "base_url": settings.network.base_url,
        "host_name": settings.ingress.host,
        "dns_zone": settings.dns.zone,
        "certificate": settings.terraform.certificate,
        "enable_https": settings.tls.enabled,
        "allowed_cidrs": list(settings.network.allowed_cidrs),
        **_size(settings.resources.lab),
        "storage_size_gb": settings.storage.home.whole_gib,
        "environment_variables": {
            "JUPYTER_IDLE_TIMEOUT": str(settings.compute.idle_timeout.seconds),
            **settings.env,
        },
        # Secrets without a value are left out: an empty secret would keep a service from starting.
        "secret_versions": {TOKEN: 1, **settings.terraform.secret_versions},
        "ollama": _ollama(settings) if settings.ollama.mode == "container" else None,
        "ollama_url": settings.ollama.url if settings.ollama.is_external else "",
    }


def _ollama(settings: Settings) -> dict[str, Any]:
    """Return the values of the bundled Ollama."""
    return {
        "image": _without_tag(image_names.pinned(settings, settings.ollama.image)),
        "models": list(settings.models),
        "keep_alive": f"{settings.ollama.keep_alive.seconds}s",
        "storage_size_gb": settings.storage.models.whole_gib,
        **_size(settings.resources.ollama),
    }


def _without_tag(name: str) -> str:
    """Return an image name without its tag if it has a digest: not every cloud accepts both."""
    return re.sub(r":[^:/@]+@", "@", name)


def _size(limits: LabLimits | OllamaLimits) -> dict[str, Any]:
    """Return CPU in cores and memory in MiB, which the modules convert to each service's units."""
    return {"cpu": limits.cpu.millicores / 1000, "memory": limits.memory.mib}


def _values(settings: Settings) -> str:
    """Return the variables of the root module without secrets, which Terraform gets by its environment."""
    return f"{json.dumps(variables(settings), indent=2, ensure_ascii=False)}\n"


def _backend(settings: Settings) -> str:
    """Return the settings of the backend as HCL assignments.

    A quoted JSON string is a valid HCL string as well, because no value can contain `${` or `%{`.
    """
    values = clouds.terraform_of(settings).backend(settings)
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())


def _for(provider: str) -> Callable[[Settings], bool]:
    return lambda settings: settings.compute.provider == provider


ARTIFACTS = (
    *(Artifact(path, _values, _for(provider)) for provider, path in TFVARS.items()),
    Artifact(BACKEND, _backend),
)


def render(settings: Settings) -> Artifacts:
    """Return the variables of the root module for the stack's provider, and the backend configuration."""
    return texts(ARTIFACTS, settings)
