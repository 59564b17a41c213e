"""The leaf of a stack's manifests, as far as no kustomize is needed to judge it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from devai_tasks.config.load import load
from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.render import kubernetes

OF_ONES_OWN = ("storage.home_class=a", "storage.models_class=b", "models=[]")
# Elsewhere it is the cloud's only one, or wants a certificate of one's own.
CLASSES = {"aws": ("ingress.class_name=c",), "azure": ("ingress.class_name=c",)}


def removals(documents: list[Any]) -> list[int]:
    """Where objects are taken out."""
    return [number for number, found in enumerate(documents) if found.get("$patch") == "delete"]


@pytest.mark.parametrize("overrides", [(), OF_ONES_OWN, (*OF_ONES_OWN, "compute.replicas.max=3")])
@pytest.mark.parametrize("cloud", ["local", "aws", "azure", "gcp"])
def test_nothing_follows_a_removal_in_a_patch(shipped: Project, cloud: str, overrides: tuple[str, ...]) -> None:
    """The kustomize of kubectl 1.32 panics on that."""
    own = (*overrides, *CLASSES.get(cloud, ())) if overrides else overrides
    settings = load(shipped, Stack("dev", cloud), own, environ={})
    for name, text in kubernetes.render(settings).items():
        documents = list(yaml.safe_load_all(text))
        assert removals(documents) in ([], [len(documents) - 1]), name


def test_nor_in_a_patch_of_a_component(shipped: Project) -> None:
    for file in Path(shipped.root, "deploy/kubernetes").rglob("*.yaml"):
        documents = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
        assert removals([found for found in documents if found]) in ([], [len(documents) - 1]), file
