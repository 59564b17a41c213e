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
# What a person may choose beside environment, cloud and GPU; each alone, and then all of them.
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "external Ollama": ("ollama.mode=external", "ollama.url=http://192.0.2.7:11434"),
    "secret store": ("kubernetes.secret_store=vault",),
    "GPUs for labs": ("gpu.enabled=true", "gpu.lab=true", "gpu.count=2"),
    "classes of one's own": ("storage.home_class=shared", "storage.models_class=fast"),
    "labs come and go": ("compute.replicas.min=2", "compute.replicas.max=4", "kubernetes.scale_down=true"),
    "no HTTPS": ("protected=false", "tls.enabled=false"),
    "no host name": ("protected=false", "ingress.host="),
    "a certificate of one's own": ("terraform.certificate=mine",),
    "another path": ("network.base_url=/lab/", "ports.lab=80"),
    "models from files": ("models=[own.gguf]",),
}
# Not on Google Cloud, whose controller looks at no class; `protected` is for shared files only.
CLASS = ("ingress.class_name=own", "ingress.controller=ingress", "tls.certificate=lab-tls")


@dataclass(frozen=True)
class Variant:
    """A stack in one of its forms."""

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
    """The objects of a stack."""

    settings: Settings
    text: str
    objects: Sequence[Object]

    def of(self, kind: str) -> dict[str, Object]:
        """The objects of a kind, by name."""
        return {found["metadata"]["name"]: found for found in self.objects if found["kind"] == kind}

    @property
    def namespace(self) -> str:
        """The one that everything of the stack is in."""
        return str(self.of("PersistentVolumeClaim")["home"]["metadata"]["namespace"])

    @property
    def pods(self) -> dict[str, Object]:
        """The pod templates of all workloads, by the workload's name."""
        workloads = {**self.of("Deployment"), **self.of("Job")}
        return {name: workload["spec"]["template"] for name, workload in workloads.items()}

    @property
    def containers(self) -> Iterator[tuple[str, Object]]:
        """All containers, with their workload's name."""
        for name, template in self.pods.items():
            spec = template["spec"]
            for container in (*spec["containers"], *spec.get("initContainers", ())):
                yield name, container


def base_variants() -> list[Variant]:
    """Every environment on every cloud, with and without GPUs."""
    return [Variant(cloud, env, gpu) for cloud, env, gpu in itertools.product(CLOUDS, ENVIRONMENTS, (False, True))]


def option_variants() -> list[Variant]:
    """Each option alone, and all together, on every cloud."""
    found = []
    for cloud in CLOUDS:
        options = {**OPTIONS, **({} if cloud == "gcp" else {"a class of one's own": CLASS})}
        found += [Variant(cloud, "dev", overrides=flags(given), name=name) for name, given in options.items()]
        together = [
            flag
            for name, given in options.items()
            if name not in ("external Ollama", "no HTTPS", "no host name")
            for flag in given
        ]
        found.append(Variant(cloud, "prod", overrides=flags(together), name="all options"))
    return found


def flags(given: Sequence[str]) -> tuple[str, ...]:
    """Overrides that a flag may set."""
    return tuple(flag for flag in given if not flag.startswith("protected"))


def build(project: Project, kind: Variant) -> Manifests:
    """Render a stack to its folder, and have kubectl build that."""
    stack = Stack(kind.environment, kind.cloud)
    settings = Sources(project, {}).configuration(stack, kind.overrides, gpu=kind.gpu).settings
    # Forms of one stack are built side by side.
    folder = project.root / "generated" / re.sub(r"\W+", "-", str(kind))
    writer.write(kubernetes.render(settings), folder)
    text = kubectl.build(folder / "kubernetes")
    return Manifests(settings, text, live.parse(text))
