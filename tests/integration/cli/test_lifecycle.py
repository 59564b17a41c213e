"""Stacks in the cluster of a cloud: order of `inv down`, secrets, and stacks that another machine created."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from subprocess import CompletedProcess
from types import SimpleNamespace
from typing import Any

import pytest

from devai_tasks.clouds.terraform import TerraformCloud
from devai_tasks.config.project import Project
from devai_tasks.config.secrets import PROXIES
from devai_tasks.config.stack import Stack
from devai_tasks.engine.docker import Docker
from devai_tasks.stack import overview, terraform_step
from devai_tasks.stack.kubernetes_workload import KubernetesWorkload
from devai_tasks.system import console
from devai_tasks.system.errors import DevaiError, ToolError
from devai_tasks.system.process import Result
from devai_tasks.targets import addresses
from devai_tasks.targets.kubernetes import deployment as cluster
from devai_tasks.targets.kubernetes import kubectl, scaling
from devai_tasks.targets.kubernetes.kubectl import Kubectl
from devai_tasks.targets.kubernetes.rendering import PROJECT_LABEL, STACK_LABEL
from devai_tasks.targets.terraform import deployment as terraform
from devai_tasks.workspace import ownership, state

Run = Callable[..., CompletedProcess[str]]
Patch = pytest.MonkeyPatch

STACK = Stack("dev", "aws")
ACCOUNT = "210987654321"
IDENTITY = "thisproject01"
CONTEXT = f"arn:aws:eks:eu-central-1:{ACCOUNT}:cluster/devai-dev"
KNOWN = {
    "kubernetes.context": CONTEXT,
    "kubernetes.identity": f"arn:aws:iam::{ACCOUNT}:role/lab",
    "image.registry": f"{ACCOUNT}.dkr.ecr.eu-central-1.amazonaws.com/devai",
    "image.digest": f"sha256:{'a' * 64}",
    "storage.file_system": "fs-1::fsap-1",
    "ingress.firewall": "sg-1",
    "tls.certificate": f"arn:aws:acm:eu-central-1:{ACCOUNT}:certificate/1",
}
OUTPUTS = {
    "kube_context": CONTEXT,
    "identity": KNOWN["kubernetes.identity"],
    "registry": KNOWN["image.registry"],
    "image": f"{KNOWN['image.registry']}@{KNOWN['image.digest']}",
    "volumes": {"home": "fs-1::fsap-1"},
    "file_system": "fs-1",
    "ingress": {"firewall": "sg-1"},
    "certificate": KNOWN["tls.certificate"],
}


def kubernetes_object(kind: str, name: str, **spec: object) -> dict[str, Any]:
    version = "apps/v1" if kind == "Deployment" else "v1"
    metadata = {"name": name, "creationTimestamp": "2026-01-01T00:00:00Z"}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec, "status": {}}


def volume(name: str, claim: str, policy: str) -> dict[str, Any]:
    owner = {"namespace": "devai-aws-dev", "name": claim}
    return kubernetes_object("PersistentVolume", name, claimRef=owner, persistentVolumeReclaimPolicy=policy)


class Deployed:
    """A fake for the cluster of a stack and for `terraform destroy`: records the commands that change it, in order."""

    def __init__(self, home: str) -> None:
        self.changes: list[str] = []
        self.kubeconfig_updates = 0
        self.objects = [
            kubernetes_object("Namespace", "devai-aws-dev"),
            kubernetes_object("Deployment", "devai", replicas=1, template={"spec": {"containers": [{"image": "lab"}]}}),
            kubernetes_object("PersistentVolumeClaim", "home", volumeName=home),
            kubernetes_object("PersistentVolumeClaim", "models", volumeName="pvc-models"),
            kubernetes_object("Secret", "devai"),
            volume("devai-aws-dev-home", "home", "Retain"),
        ]
        self.objects[0]["metadata"]["labels"] = {STACK_LABEL: "devai-aws-dev", PROJECT_LABEL: IDENTITY}
        self.volumes = [self.objects[-1], volume("pvc-models", "models", "Delete")]

    def answer(self, argv: Sequence[str]) -> str:
        """Return what kubectl prints."""
        match argv:
            case ["get", "persistentvolumes", *_]:
                return json.dumps({"items": self.volumes})
            case ["get", "persistentvolumeclaim", "home", *_]:
                return json.dumps(self.objects[2])
            case ["get", "secret", "devai", *_]:
                return json.dumps(self.objects[4])
            case ["get", "namespace", *_]:
                return json.dumps(self.objects[0])
            case ["get", *_]:
                return json.dumps({"items": self.objects})
        self.changes.append(" ".join(argv))
        return ""

    def update_kubeconfig(self, *_: object, **__: object) -> None:
        """Count an update of the kubeconfig."""
        self.kubeconfig_updates += 1


@pytest.fixture
def deploy(project: Project, monkeypatch: Patch) -> Callable[..., Deployed]:
    """A function that deploys the stack to a fake cluster of AWS."""
    network, account = {"allowed_cidrs": ["198.18.0.0/16"]}, {"account": ACCOUNT}
    overrides = {"ingress": {"host": "lab.mine.test"}, "network": network, "terraform": account}
    (project.conf / f"stacks/{STACK}.yaml").write_text(json.dumps(overrides), encoding="utf-8")
    ownership.write(project, id=IDENTITY)

    def make(*, home: str = "devai-aws-dev-home", account: str = ACCOUNT, recorded: bool = True) -> Deployed:
        deployed = Deployed(home)
        if recorded:
            state.record(project, STACK, KNOWN)
        monkeypatch.setattr(TerraformCloud, "account", lambda *_: account)
        monkeypatch.setattr(kubectl, "contexts", lambda: [CONTEXT])
        monkeypatch.setattr(kubectl, "current_context", lambda: CONTEXT)
        monkeypatch.setattr(TerraformCloud, "update_kubeconfig", deployed.update_kubeconfig)

        def call(_: Kubectl, argv: Sequence[str], stdin: str | None) -> Result:
            del stdin
            return Result(tuple(argv), 0, deployed.answer(argv).encode())

        monkeypatch.setattr(Kubectl, "_call", call)
        monkeypatch.setattr(scaling, "start", lambda *_, **__: None)
        monkeypatch.setattr(terraform_step, "destroy", lambda *_, **__: deployed.changes.append("terraform destroy"))
        return deployed

    return make


@pytest.fixture(autouse=True)
def outputs(monkeypatch: Patch) -> Callable[..., None]:
    """A function that fakes a Terraform state with outputs, types of resources and, if there are any, their owner."""

    def make(values: Mapping[str, Any], *types: str) -> None:
        resources: list[Any] = [{"mode": "managed", "type": name, "name": "this", "instances": [{}]} for name in types]
        if types:
            record = {"attributes": {"input": {"value": {"project": "devai", "project_id": IDENTITY}}}}
            resources += [{"mode": "managed", "type": "terraform_data", "name": "stack", "instances": [record]}]
        state = {"resources": resources, "outputs": {name: {"value": value} for name, value in values.items()}}

        @contextmanager
        def work(*_: object, **__: object) -> Iterator[SimpleNamespace]:
            yield SimpleNamespace(tool=SimpleNamespace(outputs=lambda: values, state=lambda: state))

        monkeypatch.setattr(terraform, "work", work)
        monkeypatch.setattr(terraform, "prepare", lambda _: None)

    make(OUTPUTS, "aws_eks_cluster")
    return make


def test_failed_rotation_reports_that_the_old_token_may_still_be_valid(
    devai: Run, deploy: Callable[..., Deployed], monkeypatch: Patch
) -> None:
    deployed = deploy()
    deployed.objects[4]["data"] = {"JUPYTER_TOKEN": "b2xk"}

    def fail(*_: object, **__: object) -> None:
        raise DevaiError("no answer")

    monkeypatch.setattr(Kubectl, "restart", fail)
    failed = devai("secrets.rotate", "--cloud=aws", "--yes")
    assert failed.returncode == 1
    message = "the old token may still be valid; repeat `inv secrets.rotate --env=dev --cloud=aws` to revoke it"
    assert message in failed.stderr


def test_down_deletes_dynamic_volumes_before_terraform_destroys_the_cluster(
    devai: Run, deploy: Callable[..., Deployed]
) -> None:
    deployed = deploy()
    down = devai("down", "--cloud=aws", "--yes")
    assert down.returncode == 0, down.stderr
    pods, others, wait, destroy = deployed.changes
    assert pods.endswith("deployment.apps/devai")
    assert "persistentvolumeclaim/models" in others
    assert wait.startswith("wait persistentvolume/pvc-models --for=delete")
    assert destroy == "terraform destroy"


def test_down_asks_with_the_effect_on_home_and_models(
    devai: Run, deploy: Callable[..., Deployed], monkeypatch: Patch
) -> None:
    deployed = deploy()
    questions: list[str] = []
    monkeypatch.setattr(console, "ask", questions.append)
    assert devai("down", "--cloud=aws").returncode == 2
    assert "the home is kept, and the next `inv up` pulls models again; continue?" in questions[0]
    assert deployed.changes == []


def test_home_on_a_dynamic_volume_is_deleted_only_with_data(devai: Run, deploy: Callable[..., Deployed]) -> None:
    deployed = deploy(home="pvc-home")
    refused = devai("down", "--cloud=aws", "--yes")
    assert refused.returncode == 2
    assert "`inv data.backup --file=home.tar.gz --env=dev --cloud=aws` saves its files" in refused.stderr
    assert deployed.changes == []
    down = devai("down", "--cloud=aws", "--data", "--confirm=devai-aws-dev")
    assert down.returncode == 0, down.stderr
    assert deployed.changes[-1] == "terraform destroy"


def test_wrong_account_is_refused_before_anything_is_deleted(devai: Run, deploy: Callable[..., Deployed]) -> None:
    deployed = deploy(account="111111111111")
    down = devai("down", "--cloud=aws", "--yes")
    assert down.returncode == 2
    assert "the credentials are for account 111111111111" in down.stderr
    assert deployed.changes == []


def test_stack_of_another_machine_is_shown_and_taken_down(
    devai: Run, deploy: Callable[..., Deployed], project: Project, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(KubernetesWorkload, "_compare_objects", lambda *_: None)
    deployed = deploy(recorded=False)
    status = json.loads(devai("status", "--cloud=aws", "--json").stdout)
    assert [row["what"] for row in status["rows"]] == ["deployment/devai"]
    assert status["drift"] == "none; only the cluster was compared; `inv plan` compares everything"
    state.delete_records(project, STACK)
    down = devai("down", "--cloud=aws", "--yes")
    assert down.returncode == 0, down.stderr
    assert len(deployed.changes) == 4


def test_kubeconfig_is_refreshed_unless_another_context_is_current(
    devai: Run, deploy: Callable[..., Deployed], monkeypatch: Patch
) -> None:
    deployed = deploy()
    assert devai("stop", "--cloud=aws", "--yes").returncode == 0
    assert deployed.kubeconfig_updates == 1
    monkeypatch.setattr(kubectl, "current_context", lambda: "elsewhere")
    refused = devai("stop", "--cloud=aws", "--yes")
    assert refused.returncode == 2
    assert "the current context is elsewhere" in refused.stderr
    assert deployed.kubeconfig_updates == 1


def test_interrupted_destruction_continues_without_the_cluster(
    devai: Run, deploy: Callable[..., Deployed], outputs: Callable[..., None]
) -> None:
    deployed = deploy()
    outputs(OUTPUTS, "aws_vpc")  # outputs remain until all resources are destroyed
    down = devai("down", "--cloud=aws", "--yes")
    assert down.returncode == 0, down.stderr
    assert "the cluster does not exist" in down.stderr
    assert deployed.kubeconfig_updates == 0
    assert deployed.changes == ["terraform destroy"]


def test_secrets_of_a_cluster_are_changed_only_after_a_question(devai: Run, deploy: Callable[..., Deployed]) -> None:
    deployed = deploy()
    refused = devai("k8s.secrets", "--cloud=aws")
    assert refused.returncode == 2
    assert "no terminal to ask; nothing was changed; pass --yes [DEVAI-STACK-004]" in refused.stderr
    assert deployed.changes == []


@pytest.fixture
def deployed_secrets(deploy: Callable[..., Deployed], monkeypatch: Patch) -> Deployed:
    """A stack in a cluster with secrets, whose manifests are unchanged."""
    deployed = deploy()
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    (secret,) = (item for item in deployed.objects if item["kind"] == "Secret")
    values = {"JUPYTER_TOKEN": "a-token", "OPENAI_API_KEY": "a-key", "OLD_KEY": "an-old-key"}
    secret["data"] = {name: base64.b64encode(value.encode()).decode() for name, value in values.items()}
    monkeypatch.setattr(cluster, "manifests", lambda _: "")
    monkeypatch.setattr(cluster, "changes", lambda *_: "")
    monkeypatch.setattr(cluster, "watch", lambda *_, **__: None)
    monkeypatch.setattr(cluster, "pull_models", lambda *_, **__: None)
    monkeypatch.setattr(addresses, "url", lambda _: "")
    return deployed


@pytest.mark.parametrize("protected", [True, False])
def test_apply_without_permission_shows_and_keeps_changed_secrets(
    devai: Run, deployed_secrets: Deployed, project: Project, monkeypatch: Patch, *, protected: bool
) -> None:
    layer = project.conf / f"stacks/{STACK}.yaml"
    layer.write_text(json.dumps({**json.loads(layer.read_text(encoding="utf-8")), "protected": protected}), "utf-8")
    monkeypatch.setenv("OPENAI_API_KEY", "another-key")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-new-key")
    refused = devai("k8s.apply", "--cloud=aws", *(["--yes"] if protected else []))
    assert refused.returncode == 2
    assert deployed_secrets.changes == []
    shown = [line for line in refused.stderr.splitlines() if line.startswith("secret ")]
    assert shown == ["secret ANTHROPIC_API_KEY: new", "secret OLD_KEY: removed", "secret OPENAI_API_KEY: changed"]


@pytest.mark.parametrize(("name", "restarted"), [("OPENAI_API_KEY", ["devai"]), ("HTTPS_PROXY", ["ollama", "devai"])])
def test_apply_of_changed_secrets_restarts_the_services_that_read_them(
    devai: Run, deployed_secrets: Deployed, monkeypatch: Patch, name: str, restarted: list[str]
) -> None:
    monkeypatch.setenv(name, "http://proxy.test")
    override = f"--set=secrets.{name}=${{secret:{name}}}"
    applied = devai("k8s.apply", "--cloud=aws", "--yes", override)
    assert applied.returncode == 0, applied.stderr
    remove, send, *restarts = deployed_secrets.changes
    assert "OLD_KEY" in remove
    assert "--field-manager=devai-secrets" in send
    expected = [f"rollout restart deployment/{service}" for service in restarted]
    assert [command for command in restarts if "restart" in command] == expected
    assert f"{' and '.join(restarted)} restart to read them, and kernels stop\n" in applied.stderr
    assert f"changed: {', '.join(sorted(['OLD_KEY', name]))}\n" in applied.stderr
    assert "nothing to change" not in applied.stderr


def test_apply_of_unchanged_secrets_neither_asks_nor_creates_a_token(
    devai: Run, deployed_secrets: Deployed, project: Project
) -> None:
    applied = devai("k8s.apply", "--cloud=aws", "--set=secrets.OLD_KEY=${secret:OLD_KEY}")
    assert applied.returncode == 0, applied.stderr
    assert "nothing to change" in applied.stderr
    assert deployed_secrets.changes == []
    assert not state.has_token(project, STACK)


@pytest.mark.usefixtures("deployed_secrets")
def test_plan_names_the_secrets_that_up_would_change(devai: Run, monkeypatch: Patch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "another-key")
    monkeypatch.setattr(terraform_step, "changes", lambda _: [])
    monkeypatch.setattr(KubernetesWorkload, "_compare_objects", lambda *_: None)
    monkeypatch.setattr(overview, "of_image", lambda *_, **__: [])
    monkeypatch.setattr(Docker, "check", lambda _: None)
    planned = devai("plan", "--cloud=aws", "--json")
    assert planned.returncode == 0, planned.stderr
    (change,) = json.loads(planned.stdout)["changes"]
    assert (change["kind"], change["what"]) == ("changed", "secret/devai")
    assert change["detail"] == "OLD_KEY, OPENAI_API_KEY"


@pytest.mark.parametrize(("error", "code"), [(ToolError("the server refuses it"), 1), (KeyboardInterrupt(), 130)])
def test_namespace_of_a_failed_first_apply_is_deleted(
    devai: Run, deploy: Callable[..., Deployed], monkeypatch: Patch, error: BaseException, code: int
) -> None:
    deployed = deploy()
    deployed.objects.clear()

    def diff(*_: object) -> str:
        raise error

    monkeypatch.setattr(Kubectl, "diff", diff)
    monkeypatch.setattr(Kubectl, "object", lambda *_: None)
    monkeypatch.setattr(kubectl, "build", lambda *_, **__: json.dumps(kubernetes_object("Namespace", "devai-aws-dev")))
    assert devai("k8s.apply", "--cloud=aws", "--yes").returncode == code
    created, deleted = deployed.changes
    assert created.startswith("apply ")
    assert deleted == "delete --ignore-not-found --wait=false namespace/devai-aws-dev"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--cloud=mine"], "mine-dev has no ingress; `inv k8s.port-forward --env=dev --cloud=mine` opens it"),
        (
            ["--cloud=aws", "--set=ingress.host=", "--set=tls.enabled=false"],
            "`inv k8s.status --env=dev --cloud=aws --set=ingress.host= --set=tls.enabled=false` shows its load",
        ),
    ],
)
def test_lab_without_a_host_name_starts_with_one_hint_on_its_address(
    devai: Run, deploy: Callable[..., Deployed], project: Project, arguments: list[str], hint: str
) -> None:
    deploy()
    cluster_of_user = {
        "compute": {"provider": "none"},
        "kubernetes": {"context": CONTEXT},
        "image": {"registry": "registry.test/lab"},
    }
    (project.conf / "clouds/mine.yaml").write_text(json.dumps(cluster_of_user), encoding="utf-8")
    state.record(project, Stack("dev", "mine"), {"image.digest": KNOWN["image.digest"]})
    started = devai("start", *arguments)
    assert started.returncode == 0, started.stderr
    assert started.stderr.count(hint) == 1
    opened = devai("open", *arguments)
    assert opened.returncode == 2
    assert hint in opened.stderr


def test_open_reads_the_token_from_the_cloud_and_creates_none(
    devai: Run, deploy: Callable[..., Deployed], project: Project, monkeypatch: Patch
) -> None:
    deploy()
    monkeypatch.setattr(TerraformCloud, "token", lambda *_, **__: "of-the-cloud")
    opened = devai("open", "--print", "--cloud=aws", "--set=compute.platform=simple")
    assert opened.stdout == "https://lab.mine.test/lab?token=of-the-cloud\n", opened.stderr
    assert not state.has_token(project, STACK)


def test_start_succeeds_without_access_to_the_token(
    devai: Run, deploy: Callable[..., Deployed], monkeypatch: Patch
) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise DevaiError("access to the token is denied")

    deploy()
    monkeypatch.setattr(TerraformCloud, "token", refuse)
    monkeypatch.setattr(terraform_step, "apply", lambda *_, **__: None)
    monkeypatch.setattr(addresses, "wait", lambda *_, **__: None)
    simple = ("--cloud=aws", "--set=compute.platform=simple")
    started = devai("start", *simple, "--yes")
    assert started.returncode == 0, started.stderr
    assert started.stdout == "https://lab.mine.test/\n"
    assert "access to the token is denied" in started.stderr
    assert devai("open", *simple).returncode == 1


def test_down_without_a_cluster_in_the_state_only_destroys(
    devai: Run, deploy: Callable[..., Deployed], outputs: Callable[..., None]
) -> None:
    outputs({})
    deployed = deploy(recorded=False)
    down = devai("down", "--cloud=aws", "--yes")
    assert "the cluster does not exist" in down.stderr
    assert deployed.changes == ["terraform destroy"]
