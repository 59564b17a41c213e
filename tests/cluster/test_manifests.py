"""Manifests and their changes, applied to a real API server of the oldest and the newest supported version."""

from __future__ import annotations

import itertools
import json
import subprocess
from dataclasses import replace
from typing import Any

import pytest
from harness.kubernetes.api import Kubernetes, kubectl_program
from harness.manifests import Variant, base_variants, build, option_variants
from harness.project import fresh
from harness.settings import Sources

from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.system.errors import ToolError, UsageError
from devai_tasks.targets.kubernetes import deployment as operations
from devai_tasks.targets.kubernetes import kubectl, objects
from devai_tasks.targets.kubernetes import rendering as kubernetes
from devai_tasks.targets.kubernetes.deployment import Cluster
from devai_tasks.workspace import writer


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project of all stacks in this module."""
    return fresh(tmp_path_factory.mktemp("manifests") / "lab")


def applied(server: Kubernetes, text: str) -> list[str]:
    """Apply manifests without warnings, as a user would with kubectl; return the result for each object."""
    result = server.kubectl("apply", "--server-side", "--field-manager=devai", "--filename=-", input=text)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout.splitlines()


def stored(server: Kubernetes, text: str) -> dict[str, Any]:
    """Return the live objects of manifests by kind and name, with managed fields.

    `resourceVersion` is left out: a claim without a controller gets a new one with each write.
    """
    result = server.kubectl("get", "--filename=-", "--output=json", "--show-managed-fields", input=text)
    assert result.returncode == 0, result.stderr
    live = json.loads(result.stdout)["items"]
    for item in live:
        del item["metadata"]["resourceVersion"]
    return {f"{item['kind']}/{item['metadata']['name']}": item for item in live}


def test_every_combination_is_applied_without_warnings_and_idempotently(server: Kubernetes, lab: Project) -> None:
    for kind in base_variants():
        text = build(lab, kind).text
        applied(server, text)
        before = stored(server, text)
        applied(server, text)
        assert stored(server, text) == before, kind


@pytest.mark.parametrize("kind", [kind for kind in option_variants() if kind.cloud in ("gcp", "local")], ids=str)
def test_every_option_is_applied_without_warnings(server: Kubernetes, lab: Project, kind: Variant) -> None:
    # A new stack each time: some options can be set only for new stacks.
    name = f"project.name=lab{next(NUMBERS)}"
    applied(server, build(lab, replace(kind, overrides=(*kind.overrides, name))).text)


def test_namespace_refuses_a_pod_that_violates_the_restricted_standard(server: Kubernetes, lab: Project) -> None:
    """The namespaces enforce the Pod Security Standard, so the pods of the tests above comply with it."""
    applied(server, build(lab, Variant("local", "dev")).text)
    pod: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "open"},
        "spec": {"serviceAccountName": "devai", "containers": [{"name": "a", "image": "a:1"}]},
    }
    refused = server.apply(pod, namespace="devai-local-dev")
    assert refused.returncode == 1
    assert 'violates PodSecurity "restricted' in refused.stderr


@pytest.mark.usefixtures("server")
def test_plain_kubectl_can_apply_the_generated_overlay(lab: Project) -> None:
    overrides = ("project.name=plain",)
    settings = Sources(lab, {}).configuration(Stack("prod", "azure"), overrides).settings
    writer.write(kubernetes.render(settings), lab.artifacts(settings.stack))
    folder = lab.artifacts(settings.stack) / "kubernetes"
    command = [kubectl_program(), "apply", "--server-side", "--force-conflicts", "--field-manager=devai", "-k"]
    result = subprocess.run([*command, folder], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert "deployment.apps/devai serverside-applied" in result.stdout


# Changes of an existing stack.


@pytest.fixture(scope="module")
def stack(server: Kubernetes, lab: Project) -> LiveStack:
    """A stack on AWS with bound claims, as in a cluster with pods; each test changes the result of the previous one."""
    return live_stack(server, lab, "live")


@pytest.fixture
def another_stack(server: Kubernetes, lab: Project) -> LiveStack:
    """A separate stack on AWS with bound claims, for changes that can't be reverted."""
    return live_stack(server, lab, f"live{next(NUMBERS)}")


NUMBERS = itertools.count()


def live_stack(server: Kubernetes, lab: Project, name: str) -> LiveStack:
    stack = LiveStack(lab, server, name)
    stack.apply()
    stack.bind("models", "50Gi")
    return stack


class LiveStack:
    """A stack that has been applied and that tests change."""

    def __init__(self, project: Project, server: Kubernetes, name: str) -> None:
        self.project = project
        self.server = server
        self.overrides = (f"project.name={name}", f"kubernetes.context={server.context}")

    def cluster(self, *overrides: str) -> Cluster:
        """Return the stack's cluster, with overrides of the configuration."""
        configuration = Sources(self.project, {}).configuration(Stack("dev", "aws"), (*self.overrides, *overrides))
        return Cluster(self.project, configuration.settings)

    def text(self, *overrides: str) -> str:
        """Return the stack's manifests."""
        cluster = self.cluster(*overrides)
        folder = writer.write(kubernetes.render(cluster.settings), self.project.artifacts(Stack("dev", "aws")))
        return kubectl.build(folder / "kubernetes")

    def changes(self, *overrides: str) -> str:
        """Return the diff that the tasks print before they ask."""
        cluster = self.cluster(*overrides)
        return operations.changes(cluster, self.text(*overrides), operations.objects(cluster))

    def apply(self, *overrides: str) -> None:
        """Apply the stack as the tasks do, but without waiting for pods: no kubelet runs here."""
        cluster, text = self.cluster(*overrides), self.text(*overrides)
        live = operations.objects(cluster)
        operations.send(cluster, text, live)
        operations.prune(cluster, objects.parse(text), live)

    @property
    def replicas(self) -> int:
        """The desired number of labs in the cluster."""
        deployment = self.cluster().kubectl.object("deployment", "devai")
        assert deployment
        return int(deployment["spec"]["replicas"])

    def bind(self, claim: str, size: str) -> None:
        """Bind a claim to a volume, as a provisioner does."""
        call, namespace = self.server.kubectl, f"--namespace={self.cluster().namespace}"
        bound = {"spec": {"volumeName": f"pv-{claim}"}}
        call("patch", "pvc", claim, namespace, f"--patch={json.dumps(bound)}")
        status = {"status": {"phase": "Bound", "capacity": {"storage": size}}}
        result = call("patch", "pvc", claim, namespace, "--subresource=status", f"--patch={json.dumps(status)}")
        assert result.returncode == 0, result.stderr


ACCEPTED = {
    "another image": (f"image.digest=sha256:{'1' * 64}",),
    "another Ollama": ("ollama.image=ollama/ollama:0.18.0",),
    "another variable": ("env.GREETING=hello",),
    "another port and path": ("ports.lab=80", "network.base_url=/lab/"),
    "more memory": ("resources.lab.memory=6Gi",),
    "more labs": ("compute.replicas.min=2", "compute.replicas.max=2"),
    "autoscaled labs": ("compute.replicas.min=2", "compute.replicas.max=5"),
    "other labels": ("labels={team: physics}",),
    "another host": ("ingress.host=other.example.org",),
    "no HTTPS": ("tls.enabled=false",),
    "another secret": ("secrets={OTHER_KEY: '${secret:OTHER_KEY}'}",),
    "other models": ("models=[llama3.2:1b]",),
    "no models": ("models=[]",),
    "an external Ollama": ("ollama.mode=external", "ollama.url=http://192.0.2.7:11434"),
    "a larger home": ("storage.home=80Gi",),
    "a GPU": ("gpu.enabled=true",),
    "other networks": ("network.allowed_cidrs=[198.51.100.0/24]", "network.load_balancers=[10.1.0.0/16]"),
    "another firewall": ("ingress.firewall=sg-0123456789abcdef0",),
    "a secret store": ("kubernetes.secret_store=vault",),
}


@pytest.mark.parametrize("overrides", ACCEPTED.values(), ids=list(ACCEPTED))
def test_change_of_an_existing_stack_is_shown_and_applied(stack: LiveStack, overrides: tuple[str, ...]) -> None:
    assert stack.changes(*overrides)
    stack.apply(*overrides)
    assert stack.changes(*overrides) == ""


def test_volume_can_be_enlarged(another_stack: LiveStack) -> None:
    assert another_stack.changes("storage.models=80Gi")
    another_stack.apply("storage.models=80Gi")
    assert another_stack.changes("storage.models=80Gi") == ""


REFUSED = {
    "storage.access": ("storage.access=ReadWriteOnce",),
    "storage.home_class": ("storage.home_class=other",),
    "storage.models_class": ("storage.models_class=other",),
    "storage.models": ("storage.models=20Gi",),
    "storage.file_system": ("storage.file_system=fs-2::fsap-2",),
}


@pytest.mark.parametrize("key", REFUSED)
def test_immutable_field_is_refused_with_a_hint_and_nothing_is_applied(stack: LiveStack, key: str) -> None:
    text = stack.text()
    before = stored(stack.server, text)
    with pytest.raises(UsageError) as refused:
        stack.changes(*REFUSED[key])
    assert f"{key}: " in str(refused.value)
    assert "inv k8s.delete --data" in str(refused.value)
    assert "nothing was changed" in str(refused.value)
    assert stored(stack.server, text) == before


def test_change_that_the_server_refuses_is_reported_before_anything_is_applied(stack: LiveStack) -> None:
    text = stack.text().replace("replicas: 1", "replicas: -1")
    before = stored(stack.server, stack.text())
    with pytest.raises(ToolError, match="must be greater than or equal to 0"):
        operations.changes(stack.cluster(), text, [])
    assert stored(stack.server, stack.text()) == before


def test_enabling_an_autoscaler_keeps_running_labs(another_stack: LiveStack) -> None:
    stack = another_stack
    fixed, autoscaled = (
        ("compute.replicas.min=3", "compute.replicas.max=3"),
        ("compute.replicas.min=2", "compute.replicas.max=6"),
    )
    stack.apply(*fixed)
    diff = stack.changes(*autoscaled)
    assert "-  replicas: 3" not in diff
    stack.apply(*autoscaled)
    assert stack.replicas == 3
    # The next apply does not revert the autoscaler's decision.
    namespace = f"--namespace={stack.cluster().namespace}"
    stack.server.kubectl("scale", "deployment/devai", namespace, "--replicas=5")
    stack.apply(*autoscaled, "env.A=b")
    assert stack.replicas == 5
    # A stopped stack starts with the minimum, because an autoscaler ignores a workload with zero replicas.
    stack.server.kubectl("scale", "deployment/devai", namespace, "--replicas=0")
    assert "+  replicas: 2" in stack.changes(*autoscaled, "env.A=b")
    stack.apply(*autoscaled, "env.A=b")
    assert stack.replicas == 2
    stack.apply(*fixed)
    assert stack.replicas == 3


def test_apply_enables_network_policies_in_a_cluster_on_aws(another_stack: LiveStack) -> None:
    """The setting is shared by all stacks: other settings are kept, and removing a stack does not remove it."""
    cluster, setting = another_stack.cluster(), ("configmap", "amazon-vpc-cni")
    call, namespace = another_stack.server.kubectl, "--namespace=kube-system"
    patch = {"data": {"enable-network-policy-controller": "false", "branch-eni-cooldown": "60"}}
    assert call("patch", *setting, namespace, f"--patch={json.dumps(patch)}").returncode == 0
    assert '+  enable-network-policy-controller: "true"' in another_stack.changes()
    another_stack.apply()
    assert another_stack.changes() == ""
    config_map = cluster.system.object(*setting)
    assert config_map
    assert config_map["data"] == {"enable-network-policy-controller": "true", "branch-eni-cooldown": "60"}
    assert "amazon-vpc-cni" not in {item["metadata"]["name"] for item in operations.objects(cluster)}


def test_gpu_stack_on_aws_creates_a_shared_gpu_node_pool(another_stack: LiveStack) -> None:
    cluster = another_stack.cluster()
    another_stack.apply("gpu.enabled=true")
    assert cluster.system.object("nodepools.karpenter.sh", "devai-gpu")
    assert "NodePool" not in {item["kind"] for item in operations.objects(cluster)}


def test_two_stacks_can_share_a_cluster(server: Kubernetes, lab: Project) -> None:
    dev, staging = build(lab, Variant("aws", "dev")), build(lab, Variant("aws", "staging"))
    names = [
        {(item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for item in built.objects}
        for built in (dev, staging)
    ]
    assert names[0].isdisjoint(names[1])
    for built in (dev, staging, dev):
        applied(server, built.text)


def test_unknown_context_is_refused(stack: LiveStack) -> None:
    cluster = stack.cluster("kubernetes.context=elsewhere")
    with pytest.raises(UsageError, match="has no context elsewhere"):
        cluster.kubectl.check_context()
    with pytest.raises(UsageError, match="has no context elsewhere"):
        cluster.kubectl.check_current()
