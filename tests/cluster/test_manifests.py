"""A real API server, of the oldest and the newest version that we support, takes the manifests and every change."""

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
    """One project."""
    return fresh(tmp_path_factory.mktemp("manifests") / "lab")


def applied(server: Kubernetes, text: str) -> list[str]:
    """Apply manifests as a person would; what came of each object."""
    done = server.kubectl("apply", "--server-side", "--field-manager=devai", "--filename=-", input=text)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def stored(server: Kubernetes, text: str) -> dict[str, Any]:
    """What the server has of manifests' objects, with who manages which field since when.

    The number of its version apart: a claim that no controller has seen gets another one with each write.
    """
    shown = server.kubectl("get", "--filename=-", "--output=json", "--show-managed-fields", input=text)
    assert shown.returncode == 0, shown.stderr
    found = json.loads(shown.stdout)["items"]
    for item in found:
        del item["metadata"]["resourceVersion"]
    return {f"{item['kind']}/{item['metadata']['name']}": item for item in found}


def test_every_combination_is_taken_without_a_warning_and_again_without_a_change(
    server: Kubernetes, lab: Project
) -> None:
    for kind in base_variants():
        text = build(lab, kind).text
        applied(server, text)
        before = stored(server, text)
        applied(server, text)
        assert stored(server, text) == before, kind


@pytest.mark.parametrize("kind", [kind for kind in option_variants() if kind.cloud in ("gcp", "local")], ids=str)
def test_every_option_is_taken_without_a_warning(server: Kubernetes, lab: Project, kind: Variant) -> None:
    # A stack of its own each time: some options are for new stacks only.
    name = f"project.name=lab{next(NUMBERS)}"
    applied(server, build(lab, replace(kind, overrides=(*kind.overrides, name))).text)


def test_the_server_would_refuse_a_pod_that_does_not_keep_to_the_restrictions(server: Kubernetes, lab: Project) -> None:
    """The namespaces enforce it: what is taken above is taken because of what it is."""
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
def test_plain_kubectl_applies_the_folder(lab: Project) -> None:
    overrides = ("project.name=plain",)
    settings = Sources(lab, {}).configuration(Stack("prod", "azure"), overrides).settings
    writer.write(kubernetes.render(settings), lab.artifacts(settings.stack))
    folder = lab.artifacts(settings.stack) / "kubernetes"
    command = [kubectl_program(), "apply", "--server-side", "--force-conflicts", "--field-manager=devai", "-k"]
    done = subprocess.run([*command, folder], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "deployment.apps/devai serverside-applied" in done.stdout


# Changes of a stack that lives.


@pytest.fixture(scope="module")
def stack(server: Kubernetes, lab: Project) -> LiveStack:
    """A stack on AWS whose claims are bound, as they are where pods run; every test changes it from what it is then."""
    return live_stack(server, lab, "live")


@pytest.fixture
def another_stack(server: Kubernetes, lab: Project) -> LiveStack:
    """The same, for what can't be taken back."""
    return live_stack(server, lab, f"live{next(NUMBERS)}")


NUMBERS = itertools.count()


def live_stack(server: Kubernetes, lab: Project, name: str) -> LiveStack:
    own = LiveStack(lab, server, name)
    own.apply()
    own.bind("models", "50Gi")
    return own


class LiveStack:
    """A stack that was applied, and is changed."""

    def __init__(self, project: Project, server: Kubernetes, name: str) -> None:
        self.project = project
        self.server = server
        self.overrides = (f"project.name={name}", f"kubernetes.context={server.context}")

    def cluster(self, *overrides: str) -> Cluster:
        """The stack with other values."""
        configuration = Sources(self.project, {}).configuration(Stack("dev", "aws"), (*self.overrides, *overrides))
        return Cluster(self.project, configuration.settings)

    def text(self, *overrides: str) -> str:
        """Its manifests."""
        cluster = self.cluster(*overrides)
        folder = writer.write(kubernetes.render(cluster.settings), self.project.artifacts(Stack("dev", "aws")))
        return kubectl.build(folder / "kubernetes")

    def changes(self, *overrides: str) -> str:
        """What applying would change; what the tasks ask before they go on."""
        cluster = self.cluster(*overrides)
        return operations.changes(cluster, self.text(*overrides), operations.objects(cluster))

    def apply(self, *overrides: str) -> None:
        """Apply it, as the tasks do, without waiting for pods that nobody starts here."""
        cluster, text = self.cluster(*overrides), self.text(*overrides)
        there = operations.objects(cluster)
        operations.send(cluster, text, there)
        operations.prune(cluster, objects.parse(text), there)

    @property
    def replicas(self) -> int:
        """How many labs it has."""
        found = self.cluster().kubectl.object("deployment", "devai")
        assert found
        return int(found["spec"]["replicas"])

    def bind(self, claim: str, size: str) -> None:
        """Do what a provisioner does for a claim."""
        call, namespace = self.server.kubectl, f"--namespace={self.cluster().namespace}"
        bound = {"spec": {"volumeName": f"pv-{claim}"}}
        call("patch", "pvc", claim, namespace, f"--patch={json.dumps(bound)}")
        status = {"status": {"phase": "Bound", "capacity": {"storage": size}}}
        done = call("patch", "pvc", claim, namespace, "--subresource=status", f"--patch={json.dumps(status)}")
        assert done.returncode == 0, done.stderr


ACCEPTED = {
    "another image": (f"image.digest=sha256:{'1' * 64}",),
    "another Ollama": ("ollama.image=ollama/ollama:0.18.0",),
    "another variable": ("env.GREETING=hello",),
    "another port and path": ("ports.lab=80", "network.base_url=/lab/"),
    "more memory": ("resources.lab.memory=6Gi",),
    "more labs": ("compute.replicas.min=2", "compute.replicas.max=2"),
    "as many labs as needed": ("compute.replicas.min=2", "compute.replicas.max=5"),
    "other labels": ("labels={team: physics}",),
    "another host": ("ingress.host=other.example.org",),
    "no HTTPS": ("tls.enabled=false",),
    "another secret": ("secrets={OTHER_KEY: '${secret:OTHER_KEY}'}",),
    "other models": ("models=[llama3.2:1b]",),
    "no models": ("models=[]",),
    "an Ollama elsewhere": ("ollama.mode=external", "ollama.url=http://192.0.2.7:11434"),
    "more room for the home": ("storage.home=80Gi",),
    "a GPU": ("gpu.enabled=true",),
    "other networks": ("network.allowed_cidrs=[198.51.100.0/24]", "network.load_balancers=[10.1.0.0/16]"),
    "another firewall": ("ingress.firewall=sg-0123456789abcdef0",),
    "a secret store": ("kubernetes.secret_store=vault",),
}


@pytest.mark.parametrize("overrides", ACCEPTED.values(), ids=list(ACCEPTED))
def test_a_change_of_a_stack_that_lives_is_shown_and_taken(stack: LiveStack, overrides: tuple[str, ...]) -> None:
    assert stack.changes(*overrides)
    stack.apply(*overrides)
    assert stack.changes(*overrides) == ""


def test_volumes_grow(another_stack: LiveStack) -> None:
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
def test_what_can_not_be_changed_is_refused_with_the_way_out_before_anything_is_sent(
    stack: LiveStack, key: str
) -> None:
    text = stack.text()
    before = stored(stack.server, text)
    with pytest.raises(UsageError) as refused:
        stack.changes(*REFUSED[key])
    assert f"{key}: " in str(refused.value)
    assert "inv k8s.delete --data" in str(refused.value)
    assert "nothing was changed" in str(refused.value)
    assert stored(stack.server, text) == before


def test_what_the_server_refuses_is_refused_before_anything_is_sent(stack: LiveStack) -> None:
    text = stack.text().replace("replicas: 1", "replicas: -1")
    before = stored(stack.server, stack.text())
    with pytest.raises(ToolError, match="must be greater than or equal to 0"):
        operations.changes(stack.cluster(), text, [])
    assert stored(stack.server, stack.text()) == before


def test_labs_do_not_go_when_an_autoscaler_takes_over(another_stack: LiveStack) -> None:
    stack = another_stack
    fixed, free = (
        ("compute.replicas.min=3", "compute.replicas.max=3"),
        ("compute.replicas.min=2", "compute.replicas.max=6"),
    )
    stack.apply(*fixed)
    diff = stack.changes(*free)
    assert "-  replicas: 3" not in diff
    stack.apply(*free)
    assert stack.replicas == 3
    # What the autoscaler decides is not taken back by the next apply.
    namespace = f"--namespace={stack.cluster().namespace}"
    stack.server.kubectl("scale", "deployment/devai", namespace, "--replicas=5")
    stack.apply(*free, "env.A=b")
    assert stack.replicas == 5
    # And what was stopped starts with the least: the autoscaler wouldn't look at it.
    stack.server.kubectl("scale", "deployment/devai", namespace, "--replicas=0")
    assert "+  replicas: 2" in stack.changes(*free, "env.A=b")
    stack.apply(*free, "env.A=b")
    assert stack.replicas == 2
    stack.apply(*fixed)
    assert stack.replicas == 3


def test_on_aws_the_cluster_is_told_to_enforce_network_policies(another_stack: LiveStack) -> None:
    """Once for all stacks: what others have set beside stays, and it stays when a stack goes."""
    cluster, setting = another_stack.cluster(), ("configmap", "amazon-vpc-cni")
    call, namespace = another_stack.server.kubectl, "--namespace=kube-system"
    patch = {"data": {"enable-network-policy-controller": "false", "branch-eni-cooldown": "60"}}
    assert call("patch", *setting, namespace, f"--patch={json.dumps(patch)}").returncode == 0
    assert '+  enable-network-policy-controller: "true"' in another_stack.changes()
    another_stack.apply()
    assert another_stack.changes() == ""
    found = cluster.system.object(*setting)
    assert found
    assert found["data"] == {"enable-network-policy-controller": "true", "branch-eni-cooldown": "60"}
    assert "amazon-vpc-cni" not in {item["metadata"]["name"] for item in operations.objects(cluster)}


def test_on_aws_the_cluster_gets_machines_with_gpus_for_whoever_asks(another_stack: LiveStack) -> None:
    cluster = another_stack.cluster()
    another_stack.apply("gpu.enabled=true")
    assert cluster.system.object("nodepools.karpenter.sh", "devai-gpu")
    assert "NodePool" not in {item["kind"] for item in operations.objects(cluster)}


def test_two_stacks_share_a_cluster(server: Kubernetes, lab: Project) -> None:
    one, other = build(lab, Variant("aws", "dev")), build(lab, Variant("aws", "staging"))
    names = [
        {(item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for item in built.objects}
        for built in (one, other)
    ]
    assert names[0].isdisjoint(names[1])
    for built in (one, other, one):
        applied(server, built.text)


def test_a_context_that_is_not_there_is_refused(stack: LiveStack) -> None:
    cluster = stack.cluster("kubernetes.context=elsewhere")
    with pytest.raises(UsageError, match="has no context elsewhere"):
        cluster.kubectl.check_context()
    with pytest.raises(UsageError, match="has no context elsewhere"):
        cluster.kubectl.check_current()
