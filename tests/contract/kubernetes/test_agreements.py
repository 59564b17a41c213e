"""What Terraform makes and the manifests name: both sides are read, for neither knows the other's files."""

from __future__ import annotations

import json
import re
from functools import cache
from ipaddress import IPv4Network

import kubernetes_validate
import pytest
import yaml
from harness import hcl
from harness.manifests import Manifests, Object, Variant, build

from devai_tasks.config.project import Project
from devai_tasks.targets.kubernetes.deployment import Cluster
from devai_tasks.targets.terraform import outputs
from devai_tasks.targets.terraform import rendering as terraform
from devai_tasks.targets.terraform.rendering import TFVARS

CLOUDS = ("aws", "azure", "gcp")


@cache
def built(project: Project, cloud: str, *overrides: str) -> Manifests:
    return build(project, Variant(cloud, "prod", overrides=overrides))


def ingress_of(stack: Manifests) -> Object:
    (found,) = stack.of("Ingress").values()
    annotations: Object = found["metadata"]["annotations"]
    return annotations


def module(capability: str, cloud: str) -> hcl.Module:
    return hcl.Module(hcl.ROOT / "modules" / capability / cloud)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_identity_is_bound_to_service_account_of_lab(lab: Project, cloud: str) -> None:
    stack = built(lab, cloud)
    variables = json.loads(terraform.render(stack.settings)[TFVARS[cloud]])
    assert variables["namespace"] == stack.namespace
    (account,) = re.findall(r'service_account += .*name = "(.+)" }', hcl.Module(hcl.ROOT / cloud).body)
    assert account == stack.pods["devai"]["spec"]["serviceAccountName"]


@pytest.mark.parametrize("cloud", CLOUDS)
def test_service_account_is_annotated_unless_eks_associates_identity(lab: Project, cloud: str) -> None:
    known = outputs.known({"identity": "made-identity"}, built(lab, cloud).settings)
    stack = built(lab, cloud, *(f"{key}={value}" for key, value in known.items()))
    annotations = stack.of("ServiceAccount")["devai"]["metadata"].get("annotations", {})
    associated = "aws_eks_pod_identity_association" in {found.type for found in module("kubernetes", cloud).resources}
    assert list(annotations.values()) == ([] if associated else ["made-identity"])


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_ingress_uses_names_from_terraform_outputs(lab: Project, cloud: str) -> None:
    """Its details come by the outputs of the root, and none of them has to be guessed."""
    names = hcl.plain(hcl.Module(hcl.ROOT / cloud).outputs["ingress"]["value"])
    assert {"firewall", "address_name"} <= {hcl.plain(name) for name in names}
    told = {"ingress": {"firewall": "made-firewall", "address_name": "made-address"}}
    known = outputs.known(told, built(lab, cloud).settings)
    stack = built(lab, cloud, *(f"{key}={value}" for key, value in known.items()))
    if cloud == "aws":
        assert ingress_of(stack)["alb.ingress.kubernetes.io/security-groups"] == "made-firewall"
        return
    assert ingress_of(stack)["kubernetes.io/ingress.global-static-ip-name"] == "made-address"
    (backend,) = stack.of("BackendConfig").values()
    assert backend["spec"]["securityPolicy"]["name"] == "made-firewall"


def test_efs_access_point_owner_is_user_of_lab(lab: Project) -> None:
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
def test_home_volume_is_file_share_of_terraform(lab: Project, cloud: str) -> None:
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


def test_aks_device_plugin_runs_on_gpu_nodes_of_terraform(lab: Project) -> None:
    """Azure installs the driver; who gives pods their GPUs has to run on those nodes, taints or not."""
    stack = built(lab, "azure", "gpu.enabled=true")
    (plugin,) = yaml.safe_load_all(Cluster(lab, stack.settings).shared)
    kubernetes_validate.validate(plugin, "1.34", strict=True)
    assert (plugin["kind"], plugin["metadata"]["namespace"]) == ("DaemonSet", "kube-system")
    pod = plugin["spec"]["template"]["spec"]
    # Wherever pods of the stack wait for GPUs, by whichever taints nodes are kept for them.
    model_server = stack.pods["ollama"]["spec"]
    assert pod["nodeSelector"] == model_server["nodeSelector"]
    assert pod["tolerations"] == model_server["tolerations"]
    (taint,) = re.findall(r'node_taints += \["(.+)=present:NoSchedule"\]', module("kubernetes", "azure").body)
    assert {"key": taint, "operator": "Exists", "effect": "NoSchedule"} in pod["tolerations"]
    assert re.fullmatch(r"nvcr\.io/nvidia/k8s-device-plugin:v\d+\.\d+\.\d+", pod["containers"][0]["image"])


@pytest.mark.parametrize(("cloud", "gpu"), [("azure", "false"), ("gcp", "true")])
def test_other_clusters_have_no_shared_objects(lab: Project, cloud: str, gpu: str) -> None:
    assert Cluster(lab, built(lab, cloud, f"gpu.enabled={gpu}").settings).shared == ""


@pytest.mark.parametrize("cloud", CLOUDS)
def test_lab_accepts_networks_of_load_balancer_only(lab: Project, cloud: str) -> None:
    let_in = [IPv4Network(network) for network in built(lab, cloud).settings.network.load_balancers]
    made = hcl.load_balancers(cloud)
    assert all(any(network.subnet_of(own) for own in let_in) for network in made)
    # As they are, or in the least network that holds them all.
    assert all(sum(network.num_addresses for network in made) * 2 > own.num_addresses for own in let_in)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_firewalls_and_policies_open_container_port(lab: Project, cloud: str) -> None:
    """Which port the service has is of no concern to a load balancer."""
    stack = built(lab, cloud, "ports.lab=9000")
    (listening,) = (port["containerPort"] for port in stack.pods["devai"]["spec"]["containers"][0]["ports"])
    (let_in,) = stack.of("NetworkPolicy")["lab-from-ingress"]["spec"]["ingress"]
    assert [port["port"] for port in let_in["ports"]] == [listening]
    assert terraform.variables(stack.settings)["port"] == listening


def gpu_pool(stack: Manifests, project: Project) -> tuple[dict[str, str], set[str]]:
    """What the nodes with GPUs are labeled with, and the taints that keep other pods away."""
    cloud = stack.settings.compute.provider
    if cloud == "aws":  # where the pool is no resource of Terraform's
        shared = yaml.safe_load_all(Cluster(project, stack.settings).shared)
        (nodes,) = (found["spec"]["template"] for found in shared if found["kind"] == "NodePool")
        return nodes["metadata"]["labels"], {taint["key"] for taint in nodes["spec"]["taints"]}
    body = module("kubernetes", cloud).body
    labels = re.findall(r'labels += \{.*"([\w.]+/\w+)"\]?(?: =|.*=>) "(\w+)"', body)
    return dict(labels), set(re.findall(r'node_taints += \["([\w./]+)=', body))


@pytest.mark.parametrize("cloud", CLOUDS)
def test_gpu_pods_match_labels_and_taints_of_gpu_nodes(lab: Project, cloud: str) -> None:
    stack = built(lab, cloud, "gpu.enabled=true")
    labels, taints = gpu_pool(stack, lab)
    spec = stack.pods["ollama"]["spec"]
    # On AWS the pool is for machines of every type.
    machine = {"node.kubernetes.io/instance-type": stack.settings.gpu.machine_type} if cloud == "aws" else {}
    assert labels
    assert spec["nodeSelector"] == labels | machine
    assert taints <= {entry["key"] for entry in spec["tolerations"]}


def test_stack_without_gpus_creates_no_gpu_node_pool(lab: Project) -> None:
    assert "NodePool" not in Cluster(lab, built(lab, "aws").settings).shared


def test_eks_has_only_nodes_with_ebs_driver(lab: Project) -> None:
    """Auto Mode's driver is on its own nodes only, and they have no other: no node is somebody else's."""
    (storage,) = built(lab, "aws", "gpu.enabled=true").of("StorageClass").values()
    assert storage["provisioner"] == "ebs.csi.eks.amazonaws.com"
    assert "aws_eks_node_group" not in {resource.type for resource in module("kubernetes", "aws").resources}


@pytest.mark.parametrize("cloud", CLOUDS)
def test_roots_declare_all_outputs_that_become_settings(cloud: str) -> None:
    """Every output that becomes a setting is one of the root's."""
    root = hcl.Module(hcl.ROOT / cloud)
    wanted = {"registry", "image", "kube_context", "identity", "file_system", "volumes", "ingress", "certificate"}
    assert wanted | {"secret_versions"} <= root.outputs.keys()
