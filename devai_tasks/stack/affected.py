"""Artifacts that a key affects: observed by rendering them and recording which keys are read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import cache

from devai_tasks.config.document import Key
from devai_tasks.config.load import Sources
from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.stack import artifacts, loading
from devai_tasks.system.errors import ConfigError
from devai_tasks.targets import base
from devai_tasks.workspace import scaffold

# Overrides so that every key is read in at least one stack.
MODES: tuple[tuple[str, ...], ...] = (
    (),
    ("gpu.enabled=true", "gpu.lab=true"),
    ("gpu.enabled=true", "gpu.vendor=amd"),
    ("gpu.enabled=true", "engine.name=podman", "image.gpu.cuda=12"),
    ("ollama.mode=external", "ollama.url=http://192.0.2.7:1", "compute.replicas.max=9"),
    ("ollama.mode=host", "vector_store.kind=chroma", "tls.local=true"),
    ("compute.platform=simple",),
    ("kubernetes.secret_store=vault", "tls.enabled=false"),
    ("terraform.certificate=mine", "image.registry=registry.invalid/lab", f"image.digest=sha256:{'1' * 64}"),
    (
        "compute.provider=none", "kubernetes.context=mine", "image.registry=registry.invalid/lab",
        "storage.access=ReadWriteOnce", "ingress.class_name=own", "ingress.host=lab.invalid", "tls.certificate=lab-tls",
    ),
)  # fmt: skip


def of_stack(settings: Settings) -> Mapping[Key, Collection[str]]:
    """Return the affected artifacts of a stack, by key."""
    return base.affected(artifacts.every(override=False), settings)


@cache
def anywhere() -> Mapping[Key, Collection[str]]:
    """Return the affected artifacts of all shipped stacks in all modes, by key."""
    result: dict[Key, set[str]] = defaultdict(set)
    project = Project(scaffold.source())
    sources = Sources(project, {}, deployment=loading)
    for stack in project.stacks:
        for mode in MODES:
            with suppress(ConfigError):  # not every stack supports every mode
                settings = sources.configuration(stack, mode, shared_only=True).settings
                for key, artifacts in of_stack(settings).items():
                    result[key].update(artifacts)
    return result
