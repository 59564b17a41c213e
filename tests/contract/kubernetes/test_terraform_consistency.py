"""Names and values that Terraform modules and manifests must share, compared from both sources."""

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


def ingress_annotations(stack: Manifests) -> Object:
    (ingress,) = stack.of("Ingress").values()
    annotations: Object = ingress["metadata"]["annotations"]
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
    known = outputs.known({"identity": "test-identity"}, built(lab, cloud).settings)
    stack = built(lab, cloud, *(f"{key}={value}" for key, value in known.items()))
    annotations = stack.of("ServiceAccount")["devai"]["metadata"].get("annotations", {})
    associated = "aws_eks_pod_identity_association" in {
        resource.type for resource in module("kubernetes", cloud).resources
    }
    assert list(annotations.values()) == ([] if associated else ["test-identity"])


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_ingress_uses_names_from_terraform_outputs(lab: Project, cloud: str) -> None:
    """The root's outputs contain the names that the ingress needs."""
    names = hcl.plain(hcl.Module(hcl.ROOT / cloud).outputs["ingress"]["value"])
    assert {"firewall", "address_name"} <= {hcl.plain(name) for name in names}
    result = {"ingress": {"firewall": "test-firewall", "address_name": "test-address"}}
    known = outputs.known(result, built(lab, cloud).settings)
    stack = built(lab, cloud, *(f"{key}={value}" for key, value in known.items()))
    if cloud == "aws":
        assert ingress_annotations(stack)["alb.ingress.kubernetes.io/security-groups"] == "test-firewall"
        return
    assert ingress_annotations(stack)["kubernetes.io/ingress.global-static-ip-name"] == "test-address"
    (backend,) = stack.of("BackendConfig").values()
    assert backend["spec"]["securityPolicy"]["name"] == "test-firewall"


def test_efs_access_point_owner_is_user_of_lab(lab: Project) -> None:
    """All clients of the access point act as its user, so the group does not matter."""
    owner = re.search(r"owner = \{ uid = (\d+),", module("storage", "aws").body)
    assert owner
    assert int(owner[1]) == built(lab, "aws").pods["devai"]["spec"]["securityContext"]["runAsUser"]


# Outputs of the storage module, and the volume that pods mount.
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
    result, handle, attributes = HOMES[cloud]
    key = "storage.file_system"
    stack = built(lab, cloud, f"{key}={outputs.known(result, built(lab, cloud).settings)[key]}")
    (volume,) = stack.of("PersistentVolume").values()
    assert volume["spec"]["csi"]["volumeHandle"] == handle
    assert attributes.items() <= volume["spec"]["csi"].get("volumeAttributes", {}).items()
    # The module creates handles of the same form.
    body = module("storage", cloud).body
    form = {"aws": "${aws_efs_file_system.this.id}::${point.id}", "azure": "share.name", "gcp": "modeInstance/${"}
    assert form[cloud] in body


def test_aks_device_plugin_runs_on_gpu_nodes_of_terraform(lab: Project) -> None:
    """AKS installs the driver, but not the device plugin, which must run on the GPU nodes and tolerate their taints."""
    stack = built(lab, "azure", "gpu.enabled=true")
    (plugin,) = yaml.safe_load_all(Cluster(lab, stack.settings).shared)
    kubernetes_validate.validate(plugin, "1.34", strict=True)
    assert (plugin["kind"], plugin["metadata"]["namespace"]) == ("DaemonSet", "kube-system")
    pod = plugin["spec"]["template"]["spec"]
    # On the same nodes, and with the same taints, as pods of the stack that use GPUs.
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
    accepted = [IPv4Network(network) for network in built(lab, cloud).settings.network.load_balancers]
    actual = hcl.load_balancers(cloud)
    assert all(any(network.subnet_of(each) for each in accepted) for network in actual)
    # The same networks, or the smallest network that contains all of them.
    assert all(sum(network.num_addresses for network in actual) * 2 > each.num_addresses for each in accepted)


@pytest.mark.parametrize("cloud", CLOUDS)
def test_firewalls_and_policies_open_container_port(lab: Project, cloud: str) -> None:
    """Load balancers connect to the pod's port, not to the service's port."""
    stack = built(lab, cloud, "ports.lab=9000")
    (port,) = (each["containerPort"] for each in stack.pods["devai"]["spec"]["containers"][0]["ports"])
    (rule,) = stack.of("NetworkPolicy")["lab-from-ingress"]["spec"]["ingress"]
    assert [each["port"] for each in rule["ports"]] == [port]
    assert terraform.variables(stack.settings)["port"] == port


def gpu_pool(stack: Manifests, project: Project) -> tuple[dict[str, str], set[str]]:
    """Return the labels of nodes with GPUs, and the keys of their taints."""
    cloud = stack.settings.compute.provider
    if cloud == "aws":  # the pool is a Kubernetes object, not a Terraform resource
        shared = yaml.safe_load_all(Cluster(project, stack.settings).shared)
        (nodes,) = (item["spec"]["template"] for item in shared if item["kind"] == "NodePool")
        return nodes["metadata"]["labels"], {taint["key"] for taint in nodes["spec"]["taints"]}
    body = module("kubernetes", cloud).body
    labels = re.findall(r'labels += \{.*"([\w.]+/\w+)"\]?(?: =|.*=>) "(\w+)"', body)
    return dict(labels), set(re.findall(r'node_taints += \["([\w./]+)=', body))


@pytest.mark.parametrize("cloud", CLOUDS)
def test_gpu_pods_match_labels_and_taints_of_gpu_nodes(lab: Project, cloud: str) -> None:
    stack = built(lab, cloud, "gpu.enabled=true")
    labels, taints = gpu_pool(stack, lab)
    spec = stack.pods["ollama"]["spec"]
    # On AWS the pool has machines of all types.
    machine = {"node.kubernetes.io/instance-type": stack.settings.gpu.machine_type} if cloud == "aws" else {}
    assert labels
    assert spec["nodeSelector"] == labels | machine
    assert taints <= {entry["key"] for entry in spec["tolerations"]}


def test_stack_without_gpus_creates_no_gpu_node_pool(lab: Project) -> None:
    assert "NodePool" not in Cluster(lab, built(lab, "aws").settings).shared


def test_eks_has_only_nodes_with_ebs_driver(lab: Project) -> None:
    """Auto Mode's EBS driver runs only on Auto Mode's nodes, so the cluster must have no other nodes."""
    (storage,) = built(lab, "aws", "gpu.enabled=true").of("StorageClass").values()
    assert storage["provisioner"] == "ebs.csi.eks.amazonaws.com"
    assert "aws_eks_node_group" not in {resource.type for resource in module("kubernetes", "aws").resources}


@pytest.mark.parametrize("cloud", CLOUDS)
def test_roots_declare_all_outputs_that_become_settings(cloud: str) -> None:
    """The root declares every output that becomes a setting."""
    root = hcl.Module(hcl.ROOT / cloud)
    expected = {"registry", "image", "kube_context", "identity", "file_system", "volumes", "ingress", "certificate"}
    assert expected | {"secret_versions"} <= root.outputs.keys()
