"""The manifests of stacks, as kubectl builds them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.config.stack import Stack
from devai_tasks.targets.kubernetes import kubectl
from devai_tasks.targets.kubernetes import objects as live
from devai_tasks.targets.kubernetes import rendering as kubernetes
from devai_tasks.workspace import writer
from harness.settings import Sources

Object = Mapping[str, Any]

ENVIRONMENTS = ("dev", "staging", "prod")
CLOUDS = ("local", "aws", "azure", "gcp")
# Options besides environment, cloud and GPU; tests use each option alone, and then all of them.
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "external Ollama": ("ollama.mode=external", "ollama.url=http://192.0.2.7:11434"),
    "secret store": ("kubernetes.secret_store=vault",),
    "GPUs for labs": ("gpu.enabled=true", "gpu.lab=true", "gpu.count=2"),
    "custom storage classes": ("storage.home_class=shared", "storage.models_class=fast"),
    "autoscaled labs": ("compute.replicas.min=2", "compute.replicas.max=4", "kubernetes.scale_down=true"),
    "no HTTPS": ("protected=false", "tls.enabled=false"),
    "no host name": ("protected=false", "ingress.host="),
    "custom certificate": ("terraform.certificate=mine",),
    "another path": ("network.base_url=/lab/", "ports.lab=80"),
    "models from files": ("models=[local.gguf]",),
}
# Not for Google Cloud, whose controller ignores the class.
CLASS = ("ingress.class_name=custom", "ingress.controller=ingress", "tls.certificate=lab-tls")


@dataclass(frozen=True)
class Variant:
    """A stack with an environment, a cloud and options."""

    cloud: str
    environment: str
    gpu: bool = False
    overrides: tuple[str, ...] = ()
    name: str = ""

    def __str__(self) -> str:
        parts = [f"{self.cloud}-{self.environment}", "GPU" if self.gpu else "", self.name]
        return ", ".join(part for part in parts if part)


@dataclass(frozen=True)
class Manifests:
    """The rendered Kubernetes objects of a stack."""

    settings: Settings
    text: str
    objects: Sequence[Object]

    def of(self, kind: str) -> dict[str, Object]:
        """Return the objects of a kind by name."""
        return {item["metadata"]["name"]: item for item in self.objects if item["kind"] == kind}

    @property
    def namespace(self) -> str:
        """The namespace of all objects of the stack."""
        return str(self.of("PersistentVolumeClaim")["home"]["metadata"]["namespace"])

    @property
    def pods(self) -> dict[str, Object]:
        """The pod templates of all workloads by the workload's name."""
        workloads = {**self.of("Deployment"), **self.of("Job")}
        return {name: workload["spec"]["template"] for name, workload in workloads.items()}

    @property
    def containers(self) -> Iterator[tuple[str, Object]]:
        """All containers with the name of their workload."""
        for name, template in self.pods.items():
            spec = template["spec"]
            for container in (*spec["containers"], *spec.get("initContainers", ())):
                yield name, container


def base_variants() -> list[Variant]:
    """Return every environment on every cloud, with and without GPUs."""
    return [Variant(cloud, env, gpu) for cloud, env, gpu in itertools.product(CLOUDS, ENVIRONMENTS, (False, True))]


def option_variants() -> list[Variant]:
    """Return each option alone and all options together, on every cloud."""
    result = []
    for cloud in CLOUDS:
        options = {**OPTIONS, **({} if cloud == "gcp" else {"custom ingress class": CLASS})}
        result += [Variant(cloud, "dev", overrides=flags(overrides), name=name) for name, overrides in options.items()]
        together = [
            flag
            for name, overrides in options.items()
            if name not in ("external Ollama", "no HTTPS", "no host name")
            for flag in overrides
        ]
        result.append(Variant(cloud, "prod", overrides=flags(together), name="all options"))
    return result


def flags(overrides: Sequence[str]) -> tuple[str, ...]:
    """Return the overrides that `--set` may change; `protected` can be set in shared files only."""
    return tuple(flag for flag in overrides if not flag.startswith("protected"))


def build(project: Project, variant: Variant) -> Manifests:
    """Render a stack to a folder, and build the folder with kubectl."""
    stack = Stack(variant.environment, variant.cloud)
    settings = Sources(project, {}).configuration(stack, variant.overrides, gpu=variant.gpu).settings
    # One folder for each variant, as tests build variants of a stack in parallel.
    folder = project.root / "generated" / re.sub(r"\W+", "-", str(variant))
    writer.write(kubernetes.render(settings), folder)
    text = kubectl.build(folder / "kubernetes")
    return Manifests(settings, text, live.parse(text))
