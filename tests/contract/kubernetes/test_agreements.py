"""What Terraform makes and the manifests name: both sides are read, for neither knows the other's files."""

from __future__ import annotations

import json
import re
from functools import cache

import pytest
from harness import hcl
from harness.manifests import Kind, Manifests, Object, build

from devai_tasks.config.project import Project
from devai_tasks.config.targets import TFVARS
from devai_tasks.operations import outputs
from devai_tasks.render import terraform

CLOUDS = ("aws", "azure", "gcp")


@cache
def built(project: Project, cloud: str, *overrides: str) -> Manifests:
    return build(project, Kind(cloud, "prod", overrides=overrides))


def ingress_of(stack: Manifests) -> Object:
    (found,) = stack.of("Ingress").values()
    annotations: Object = found["metadata"]["annotations"]
    return annotations


def module(capability: str, cloud: str) -> hcl.Module:
    return hcl.Module(hcl.ROOT / "modules" / capability / cloud)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_an_identity_is_for_the_labs_account_in_the_stacks_namespace(lab: Project, cloud: str) -> None:
    stack = built(lab, cloud)
    variables = json.loads(terraform.render(stack.settings)[TFVARS[cloud]])
    assert variables["namespace"] == stack.namespace
    (account,) = re.findall(r'service_account = "(.+)"', hcl.Module(hcl.ROOT / cloud).body)
    assert account == stack.pods["devai"]["spec"]["serviceAccountName"]


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_the_ingress_names_what_terraform_says_it_made(lab: Project, cloud: str) -> None:
    """Its details come by the outputs of the root, and none of them has to be guessed."""
    details = hcl.plain(module("ingress", cloud).outputs["details"]["value"])
    assert {"firewall", "address_name"} <= {hcl.plain(name) for name in details}
    told = {"ingress": {"firewall": "made-firewall", "address_name": "made-address"}}
    known = outputs.known(told, built(lab, cloud).settings)
    stack = built(lab, cloud, *(f"{key}={value}" for key, value in known.items()))
    if cloud == "aws":
        assert ingress_of(stack)["alb.ingress.kubernetes.io/security-groups"] == "made-firewall"
        return
    assert ingress_of(stack)["kubernetes.io/ingress.global-static-ip-name"] == "made-address"
    (backend,) = stack.of("BackendConfig").values()
    assert backend["spec"]["securityPolicy"]["name"] == "made-firewall"


def test_efs_gives_the_home_to_the_labs_own_user(lab: Project) -> None:
    """Whoever mounts by the access point is that user to it, so the group doesn't matter."""
    owner = re.search(r"owner = \{ uid = (\d+),", module("storage", "aws").body)
    assert owner
    assert int(owner[1]) == built(lab, "aws").pods["devai"]["spec"]["securityContext"]["runAsUser"]


# What a plan of the storage module would tell, and the volume that pods mount then.
HOMES = {
    "aws": ({"file_system": "fs-1", "volumes": {"home": "fs-1::fsap-2"}}, "fs-1::fsap-2", {}),
    "azure": (
        {"file_system": "account", "volumes": {"home": "share"}},
        "devai-azure-prod-home",
        {"storageAccount": "account", "shareName": "share"},
    ),
    "gcp": (
        {"file_system": "10.0.0.2", "volumes": {"home": "modeInstance/europe-west1-b/devai-prod/home"}},
        "modeInstance/europe-west1-b/devai-prod/home",
        {"ip": "10.0.0.2", "volume": "home"},
    ),
}


@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_home_is_the_share_that_terraform_made(lab: Project, cloud: str) -> None:
    told, handle, attributes = HOMES[cloud]
    key = "storage.file_system"
    stack = built(lab, cloud, f"{key}={outputs.known(told, built(lab, cloud).settings)[key]}")
    (volume,) = stack.of("PersistentVolume").values()
    assert volume["spec"]["csi"]["volumeHandle"] == handle
    assert attributes.items() <= volume["spec"]["csi"].get("volumeAttributes", {}).items()
    # And those forms are the modules' own.
    body = module("storage", cloud).body
    form = {"aws": "${aws_efs_file_system.this.id}::${point.id}", "azure": "share.name", "gcp": "modeInstance/${"}
    assert form[cloud] in body


@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_cluster_of_a_stack_is_found_by_its_outputs(cloud: str) -> None:
    """Every output that becomes a setting is one of the root's."""
    root = hcl.Module(hcl.ROOT / cloud)
    wanted = {"registry", "image", "kube_context", "identity", "file_system", "volumes", "ingress", "certificate"}
    assert wanted | {"secret_versions"} <= root.outputs.keys()
