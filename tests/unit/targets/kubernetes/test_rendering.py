"""The leaf of a stack's manifests, as far as no kustomize is needed to judge it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness.settings import load

from devai_tasks.config.project import Project
from devai_tasks.config.schema import Settings
from devai_tasks.config.stack import Stack
from devai_tasks.targets.kubernetes import rendering as kubernetes

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


def lab_of(settings: Settings) -> Any:
    _, deployment = yaml.safe_load_all(kubernetes.render(settings)["kubernetes/lab.yaml"])
    return deployment["spec"]


def test_a_home_that_one_node_has_is_let_go_before_the_next_pod_wants_it(project: Project) -> None:
    (project.conf / "clouds" / "lan.yaml").write_text("compute: {provider: none}\nkubernetes: {context: lan}\n")
    one = ("storage.access=ReadWriteOnce",)
    own = lab_of(load(project, project.stack("dev", "lan"), one, environ={}))
    assert own["strategy"] == {"type": "Recreate", "rollingUpdate": None}
    for cloud, overrides in (("lan", ()), ("local", one), ("aws", one)):
        assert "strategy" not in lab_of(load(project, project.stack("dev", cloud), overrides, environ={}))


def test_the_job_that_brings_models_has_another_name_where_its_image_comes_from_elsewhere(project: Project) -> None:
    (project.conf / "clouds" / "lan.yaml").write_text("compute: {provider: none}\nkubernetes: {context: lan}\n")
    names = set()
    for registry in ("", "registry.example.net/lab", "other.example.net/lab"):
        settings = load(project, project.stack("dev", "lan"), (f"image.registry={registry}",), environ={})
        names.add(yaml.safe_load(kubernetes.render(settings)["kubernetes/models.yaml"])["metadata"]["name"])
    assert len(names) == 2


def test_a_changed_pod_template_of_the_models_job_has_another_revision(shipped: Project) -> None:
    """Otherwise `inv k8s.apply` would try to change the job of an older version, and jobs are immutable."""
    base = yaml.safe_load((shipped.root / "deploy/kubernetes/base/models.yaml").read_text())
    template = json.dumps(base["spec"]["template"], sort_keys=True)
    digest = hashlib.sha256(template.encode()).hexdigest()[:8]
    assert (kubernetes.JOB_REVISION, digest) == (2, "0b2868cc"), "set JOB_REVISION to the next number"


@pytest.mark.parametrize(
    ("cloud", "balancers"),
    [("aws", [".elb.amazonaws.com", ".elb.amazonaws.com.cn"]), ("azure", [".cloudapp.azure.com"]), ("gcp", [])],
)
def test_a_lab_answers_under_the_names_by_which_its_cluster_leads_to_it(
    shipped: Project, cloud: str, balancers: list[str]
) -> None:
    own = ("ingress.host=lab.example.com", "network.allowed_hosts=[proxy.example.com]")
    settings = load(shipped, Stack("dev", cloud), own, environ={})
    lab, _ = yaml.safe_load_all(kubernetes.render(settings)["kubernetes/environment.yaml"])
    service = f"devai.devai-{cloud}-dev"
    assert lab["data"]["JUPYTER_ALLOWED_HOSTS"].split() == [
        "proxy.example.com", "lab.example.com", *balancers,
        "devai", service, f"{service}.svc", f"{service}.svc.cluster.local",
    ]  # fmt: skip


def test_nor_in_a_patch_of_a_component(shipped: Project) -> None:
    for file in Path(shipped.root, "deploy/kubernetes").rglob("*.yaml"):
        documents = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
        assert removals([found for found in documents if found]) in ([], [len(documents) - 1]), file
