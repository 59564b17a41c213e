"""Generated overlay of a stack's manifests, without kustomize."""

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

CUSTOM = ("storage.home_class=a", "storage.models_class=b", "models=[]")
# GKE does not use ingress classes; in a local cluster, a class requires a host name and a certificate.
CLASSES = {"aws": ("ingress.class_name=c",), "azure": ("ingress.class_name=c",)}


def deletions(documents: list[Any]) -> list[int]:
    """Return the indexes of the documents that delete an object."""
    return [number for number, document in enumerate(documents) if document.get("$patch") == "delete"]


@pytest.mark.parametrize("overrides", [(), CUSTOM, (*CUSTOM, "compute.replicas.max=3")])
@pytest.mark.parametrize("cloud", ["local", "aws", "azure", "gcp"])
def test_deletion_is_the_last_document_of_a_patch(shipped: Project, cloud: str, overrides: tuple[str, ...]) -> None:
    """The kustomize of kubectl 1.32 panics if another document follows."""
    all_overrides = (*overrides, *CLASSES.get(cloud, ())) if overrides else overrides
    settings = load(shipped, Stack("dev", cloud), all_overrides, environ={})
    for name, text in kubernetes.render(settings).items():
        documents = list(yaml.safe_load_all(text))
        assert deletions(documents) in ([], [len(documents) - 1]), name


def lab_of(settings: Settings) -> Any:
    _, deployment = yaml.safe_load_all(kubernetes.render(settings)["kubernetes/lab.yaml"])
    return deployment["spec"]


def test_home_that_one_node_mounts_is_released_before_the_next_pod_starts(project: Project) -> None:
    (project.conf / "clouds" / "lan.yaml").write_text("compute: {provider: none}\nkubernetes: {context: lan}\n")
    single_node = ("storage.access=ReadWriteOnce",)
    lab = lab_of(load(project, project.stack("dev", "lan"), single_node, environ={}))
    assert lab["strategy"] == {"type": "Recreate", "rollingUpdate": None}
    for cloud, overrides in (("lan", ()), ("local", single_node), ("aws", single_node)):
        assert "strategy" not in lab_of(load(project, project.stack("dev", cloud), overrides, environ={}))


def test_name_of_the_models_job_depends_on_the_registry_of_its_image(project: Project) -> None:
    (project.conf / "clouds" / "lan.yaml").write_text("compute: {provider: none}\nkubernetes: {context: lan}\n")
    names = set()
    for registry in ("", "registry.example.net/lab", "other.example.net/lab"):
        settings = load(project, project.stack("dev", "lan"), (f"image.registry={registry}",), environ={})
        names.add(yaml.safe_load(kubernetes.render(settings)["kubernetes/models.yaml"])["metadata"]["name"])
    assert len(names) == 2


def test_changed_pod_template_of_the_models_job_has_a_new_revision(shipped: Project) -> None:
    """Otherwise `inv k8s.apply` would try to change the job of an older version, and jobs are immutable."""
    base = yaml.safe_load((shipped.root / "deploy/kubernetes/base/models.yaml").read_text())
    template = json.dumps(base["spec"]["template"], sort_keys=True)
    digest = hashlib.sha256(template.encode()).hexdigest()[:8]
    assert (kubernetes.JOB_REVISION, digest) == (2, "0b2868cc"), "set JOB_REVISION to the next number"


@pytest.mark.parametrize(
    ("cloud", "load_balancers"),
    [("aws", [".elb.amazonaws.com", ".elb.amazonaws.com.cn"]), ("azure", [".cloudapp.azure.com"]), ("gcp", [])],
)
def test_allowed_hosts_are_the_names_of_the_lab_in_its_cluster(
    shipped: Project, cloud: str, load_balancers: list[str]
) -> None:
    overrides = ("ingress.host=lab.example.com", "network.allowed_hosts=[proxy.example.com]")
    settings = load(shipped, Stack("dev", cloud), overrides, environ={})
    lab, _ = yaml.safe_load_all(kubernetes.render(settings)["kubernetes/environment.yaml"])
    service = f"devai.devai-{cloud}-dev"
    assert lab["data"]["JUPYTER_ALLOWED_HOSTS"].split() == [
        "proxy.example.com", "lab.example.com", *load_balancers,
        "devai", service, f"{service}.svc", f"{service}.svc.cluster.local",
    ]  # fmt: skip


def test_deletion_is_the_last_document_of_a_patch_in_a_component(shipped: Project) -> None:
    for file in Path(shipped.root, "deploy/kubernetes").rglob("*.yaml"):
        documents = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
        assert deletions([document for document in documents if document]) in ([], [len(documents) - 1]), file
