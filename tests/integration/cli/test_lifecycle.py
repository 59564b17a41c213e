"""Whole stacks in a cloud's cluster: what `inv down` takes from where, and what is known of a stack made elsewhere."""

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


def found(kind: str, name: str, **spec: object) -> dict[str, Any]:
    version = "apps/v1" if kind == "Deployment" else "v1"
    metadata = {"name": name, "creationTimestamp": "2026-01-01T00:00:00Z"}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec, "status": {}}


def volume(name: str, claim: str, policy: str) -> dict[str, Any]:
    owner = {"namespace": "devai-aws-dev", "name": claim}
    return found("PersistentVolume", name, claimRef=owner, persistentVolumeReclaimPolicy=policy)


class Deployed:
    """Stands in for a stack's cluster, and for Terraform's destruction of all else: notes what is asked, in order."""

    def __init__(self, home: str) -> None:
        self.asked: list[str] = []
        self.joined = 0
        self.marked = [
            found("Namespace", "devai-aws-dev"),
            found("Deployment", "devai", replicas=1, template={"spec": {"containers": [{"image": "lab"}]}}),
            found("PersistentVolumeClaim", "home", volumeName=home),
            found("PersistentVolumeClaim", "models", volumeName="pvc-models"),
            found("Secret", "devai"),
            volume("devai-aws-dev-home", "home", "Retain"),
        ]
        self.marked[0]["metadata"]["labels"] = {STACK_LABEL: "devai-aws-dev", PROJECT_LABEL: IDENTITY}
        self.volumes = [self.marked[-1], volume("pvc-models", "models", "Delete")]

    def answer(self, words: Sequence[str]) -> str:
        """What kubectl prints."""
        match words:
            case ["get", "persistentvolumes", *_]:
                return json.dumps({"items": self.volumes})
            case ["get", "persistentvolumeclaim", "home", *_]:
                return json.dumps(self.marked[2])
            case ["get", "secret", "devai", *_]:
                return json.dumps(self.marked[4])
            case ["get", "namespace", *_]:
                return json.dumps(self.marked[0])
            case ["get", *_]:
                return json.dumps({"items": self.marked})
        self.asked.append(" ".join(words))
        return ""

    def join(self, *_: object, **__: object) -> None:
        """Have kubectl know it."""
        self.joined += 1


@pytest.fixture
def deploy(project: Project, monkeypatch: Patch) -> Callable[..., Deployed]:
    """Have the stack in a cluster of AWS."""
    network, account = {"allowed_cidrs": ["198.18.0.0/16"]}, {"account": ACCOUNT}
    own = {"ingress": {"host": "lab.mine.test"}, "network": network, "terraform": account}
    (project.conf / f"stacks/{STACK}.yaml").write_text(json.dumps(own), encoding="utf-8")
    ownership.write(project, id=IDENTITY)

    def make(*, home: str = "devai-aws-dev-home", account: str = ACCOUNT, here: bool = True) -> Deployed:
        deployed = Deployed(home)
        if here:
            state.record(project, STACK, KNOWN)
        monkeypatch.setattr(TerraformCloud, "account", lambda *_: account)
        monkeypatch.setattr(kubectl, "contexts", lambda: [CONTEXT])
        monkeypatch.setattr(kubectl, "current_context", lambda: CONTEXT)
        monkeypatch.setattr(TerraformCloud, "update_kubeconfig", deployed.join)

        def call(_: Kubectl, words: Sequence[str], given: str | None) -> Result:
            del given
            return Result(tuple(words), 0, deployed.answer(words).encode())

        monkeypatch.setattr(Kubectl, "_call", call)
        monkeypatch.setattr(scaling, "start", lambda *_, **__: None)
        monkeypatch.setattr(terraform_step, "destroy", lambda *_, **__: deployed.asked.append("terraform destroy"))
        return deployed

    return make


@pytest.fixture(autouse=True)
def outputs(monkeypatch: Patch) -> Callable[..., None]:
    """Have a state of Terraform that holds some outputs, and some resources with the record of whose they are."""

    def make(held: Mapping[str, Any], *types: str) -> None:
        resources: list[Any] = [{"mode": "managed", "type": name, "name": "this", "instances": [{}]} for name in types]
        if types:
            record = {"attributes": {"input": {"value": {"project": "devai", "project_id": IDENTITY}}}}
            resources += [{"mode": "managed", "type": "terraform_data", "name": "stack", "instances": [record]}]
        state = {"resources": resources, "outputs": {name: {"value": value} for name, value in held.items()}}

        @contextmanager
        def work(*_: object, **__: object) -> Iterator[SimpleNamespace]:
            yield SimpleNamespace(tool=SimpleNamespace(outputs=lambda: held, state=lambda: state))

        monkeypatch.setattr(terraform, "work", work)
        monkeypatch.setattr(terraform, "prepare", lambda _: None)

    make(OUTPUTS, "aws_eks_cluster")
    return make


def test_a_rotation_in_a_cluster_that_breaks_off_says_that_the_old_token_may_still_be_good(
    devai: Run, deploy: Callable[..., Deployed], monkeypatch: Patch
) -> None:
    deployed = deploy()
    deployed.marked[4]["data"] = {"JUPYTER_TOKEN": "b2xk"}

    def fail(*_: object, **__: object) -> None:
        raise DevaiError("nobody answers")

    monkeypatch.setattr(Kubectl, "restart", fail)
    failed = devai("secrets.rotate", "--cloud=aws", "--yes")
    assert failed.returncode == 1
    told = "the old token may still be valid; repeat `inv secrets.rotate --env=dev --cloud=aws` to revoke it"
    assert told in failed.stderr


def test_a_clouds_cluster_takes_its_own_volumes_away_before_it_goes(
    devai: Run, deploy: Callable[..., Deployed]
) -> None:
    deployed = deploy()
    down = devai("down", "--cloud=aws", "--yes")
    assert down.returncode == 0, down.stderr
    pods, rest, end, destroyed = deployed.asked
    assert pods.endswith("deployment.apps/devai")
    assert "persistentvolumeclaim/models" in rest
    assert end.startswith("wait persistentvolume/pvc-models --for=delete")
    assert destroyed == "terraform destroy"


def test_who_takes_a_cloud_stack_down_is_told_that_models_go_and_the_home_stays(
    devai: Run, deploy: Callable[..., Deployed], monkeypatch: Patch
) -> None:
    deployed = deploy()
    questions: list[str] = []
    monkeypatch.setattr(console, "ask", questions.append)
    assert devai("down", "--cloud=aws").returncode == 2
    assert "the home is kept, and the next `inv up` pulls models again; continue?" in questions[0]
    assert deployed.asked == []


def test_a_home_that_the_cluster_has_made_goes_with_data_only(devai: Run, deploy: Callable[..., Deployed]) -> None:
    deployed = deploy(home="pvc-home")
    refused = devai("down", "--cloud=aws", "--yes")
    assert refused.returncode == 2
    assert "`inv data.backup --file=home.tar.gz --env=dev --cloud=aws` saves its files" in refused.stderr
    assert deployed.asked == []
    down = devai("down", "--cloud=aws", "--data", "--confirm=devai-aws-dev")
    assert down.returncode == 0, down.stderr
    assert deployed.asked[-1] == "terraform destroy"


def test_the_wrong_account_is_found_before_anything_goes(devai: Run, deploy: Callable[..., Deployed]) -> None:
    deployed = deploy(account="111111111111")
    down = devai("down", "--cloud=aws", "--yes")
    assert down.returncode == 2
    assert "the credentials are for account 111111111111" in down.stderr
    assert deployed.asked == []


def test_a_stack_that_another_machine_made_is_seen_and_leaves_its_cluster_first(
    devai: Run, deploy: Callable[..., Deployed], project: Project, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(KubernetesWorkload, "_compare_objects", lambda *_: None)
    deployed = deploy(here=False)
    status = json.loads(devai("status", "--cloud=aws", "--json").stdout)
    assert [row["what"] for row in status["rows"]] == ["deployment/devai"]
    assert status["drift"] == "none; only the cluster was compared; `inv plan` compares everything"
    state.delete_records(project, STACK)
    down = devai("down", "--cloud=aws", "--yes")
    assert down.returncode == 0, down.stderr
    assert len(deployed.asked) == 4


def test_a_cluster_is_joined_again_since_another_may_have_its_name_now(
    devai: Run, deploy: Callable[..., Deployed], monkeypatch: Patch
) -> None:
    deployed = deploy()
    assert devai("stop", "--cloud=aws", "--yes").returncode == 0
    assert deployed.joined == 1
    monkeypatch.setattr(kubectl, "current_context", lambda: "elsewhere")
    refused = devai("stop", "--cloud=aws", "--yes")
    assert refused.returncode == 2
    assert "the current context is elsewhere" in refused.stderr
    assert deployed.joined == 1


def test_a_destruction_that_broke_off_goes_on_without_the_cluster(
    devai: Run, deploy: Callable[..., Deployed], outputs: Callable[..., None]
) -> None:
    deployed = deploy()
    outputs(OUTPUTS, "aws_vpc")  # those stay until all is destroyed
    down = devai("down", "--cloud=aws", "--yes")
    assert down.returncode == 0, down.stderr
    assert "the cluster does not exist" in down.stderr
    assert deployed.joined == 0
    assert deployed.asked == ["terraform destroy"]


def test_secrets_go_to_a_cluster_after_a_question(devai: Run, deploy: Callable[..., Deployed]) -> None:
    deployed = deploy()
    asked = devai("k8s.secrets", "--cloud=aws")
    assert asked.returncode == 2
    assert "no terminal to ask; nothing was changed; pass --yes [DEVAI-STACK-004]" in asked.stderr
    assert deployed.asked == []


@pytest.fixture
def secrets_only(deploy: Callable[..., Deployed], monkeypatch: Patch) -> Deployed:
    """A stack in a cluster that has a token and a key, and whose manifests are those that live."""
    deployed = deploy()
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    (secret,) = (found for found in deployed.marked if found["kind"] == "Secret")
    held = {"JUPYTER_TOKEN": "a-token", "OPENAI_API_KEY": "a-key", "OLD_KEY": "an-old-key"}
    secret["data"] = {name: base64.b64encode(value.encode()).decode() for name, value in held.items()}
    monkeypatch.setattr(cluster, "manifests", lambda _: "")
    monkeypatch.setattr(cluster, "changes", lambda *_: "")
    monkeypatch.setattr(cluster, "watch", lambda *_, **__: None)
    monkeypatch.setattr(cluster, "pull_models", lambda *_, **__: None)
    monkeypatch.setattr(addresses, "url", lambda _: "")
    return deployed


@pytest.mark.parametrize("protected", [True, False])
def test_secrets_are_replaced_by_no_apply_that_nobody_has_allowed(
    devai: Run, secrets_only: Deployed, project: Project, monkeypatch: Patch, *, protected: bool
) -> None:
    own = project.conf / f"stacks/{STACK}.yaml"
    own.write_text(json.dumps({**json.loads(own.read_text(encoding="utf-8")), "protected": protected}), "utf-8")
    monkeypatch.setenv("OPENAI_API_KEY", "another-key")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-new-key")
    refused = devai("k8s.apply", "--cloud=aws", *(["--yes"] if protected else []))
    assert refused.returncode == 2
    assert secrets_only.asked == []
    shown = [line for line in refused.stderr.splitlines() if line.startswith("secret ")]
    assert shown == ["secret ANTHROPIC_API_KEY: new", "secret OLD_KEY: removed", "secret OPENAI_API_KEY: changed"]


@pytest.mark.parametrize(("name", "restarted"), [("OPENAI_API_KEY", ["devai"]), ("HTTPS_PROXY", ["ollama", "devai"])])
def test_other_secrets_reach_what_runs_by_the_command_that_sends_them(
    devai: Run, secrets_only: Deployed, monkeypatch: Patch, name: str, restarted: list[str]
) -> None:
    monkeypatch.setenv(name, "http://proxy.test")
    own = f"--set=secrets.{name}=${{secret:{name}}}"
    applied = devai("k8s.apply", "--cloud=aws", "--yes", own)
    assert applied.returncode == 0, applied.stderr
    removed, sent, *then = secrets_only.asked
    assert "OLD_KEY" in removed
    assert "--field-manager=devai-secrets" in sent
    expected = [f"rollout restart deployment/{service}" for service in restarted]
    assert [words for words in then if "restart" in words] == expected
    assert f"{' and '.join(restarted)} restart to read them, and kernels stop\n" in applied.stderr
    assert f"changed: {', '.join(sorted(['OLD_KEY', name]))}\n" in applied.stderr
    assert "nothing to change" not in applied.stderr


def test_an_apply_without_other_secrets_asks_nothing_and_makes_no_token(
    devai: Run, secrets_only: Deployed, project: Project
) -> None:
    applied = devai("k8s.apply", "--cloud=aws", "--set=secrets.OLD_KEY=${secret:OLD_KEY}")
    assert applied.returncode == 0, applied.stderr
    assert "nothing to change" in applied.stderr
    assert secrets_only.asked == []
    assert not state.has_token(project, STACK)


@pytest.mark.usefixtures("secrets_only")
def test_a_plan_names_the_secrets_that_up_would_replace(devai: Run, monkeypatch: Patch) -> None:
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
def test_a_namespace_that_was_made_for_nothing_is_taken_back(
    devai: Run, deploy: Callable[..., Deployed], monkeypatch: Patch, error: BaseException, code: int
) -> None:
    deployed = deploy()
    deployed.marked.clear()

    def diff(*_: object) -> str:
        raise error

    monkeypatch.setattr(Kubectl, "diff", diff)
    monkeypatch.setattr(Kubectl, "object", lambda *_: None)
    monkeypatch.setattr(kubectl, "build", lambda *_, **__: json.dumps(found("Namespace", "devai-aws-dev")))
    assert devai("k8s.apply", "--cloud=aws", "--yes").returncode == code
    made, taken_back = deployed.asked
    assert made.startswith("apply ")
    assert taken_back == "delete --ignore-not-found --wait=false namespace/devai-aws-dev"


@pytest.mark.parametrize(
    ("words", "way"),
    [
        (["--cloud=mine"], "mine-dev has no ingress; `inv k8s.port-forward --env=dev --cloud=mine` opens it"),
        (
            ["--cloud=aws", "--set=ingress.host=", "--set=tls.enabled=false"],
            "`inv k8s.status --env=dev --cloud=aws --set=ingress.host= --set=tls.enabled=false` shows its load",
        ),
    ],
)
def test_a_lab_without_a_named_address_starts_and_the_way_to_it_is_said_once(
    devai: Run, deploy: Callable[..., Deployed], project: Project, words: list[str], way: str
) -> None:
    deploy()
    own = {
        "compute": {"provider": "none"},
        "kubernetes": {"context": CONTEXT},
        "image": {"registry": "registry.test/lab"},
    }
    (project.conf / "clouds/mine.yaml").write_text(json.dumps(own), encoding="utf-8")
    state.record(project, Stack("dev", "mine"), {"image.digest": KNOWN["image.digest"]})
    started = devai("start", *words)
    assert started.returncode == 0, started.stderr
    assert started.stderr.count(way) == 1
    opened = devai("open", *words)
    assert opened.returncode == 2
    assert way in opened.stderr


def test_a_token_is_where_its_lab_is_and_none_is_made_to_open_it(
    devai: Run, deploy: Callable[..., Deployed], project: Project, monkeypatch: Patch
) -> None:
    deploy()
    monkeypatch.setattr(TerraformCloud, "token", lambda *_, **__: "of-the-cloud")
    opened = devai("open", "--print", "--cloud=aws", "--set=compute.platform=simple")
    assert opened.stdout == "https://lab.mine.test/lab?token=of-the-cloud\n", opened.stderr
    assert not state.has_token(project, STACK)


def test_a_stack_is_up_also_for_whom_its_cloud_does_not_tell_the_token(
    devai: Run, deploy: Callable[..., Deployed], monkeypatch: Patch
) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise DevaiError("the cloud doesn't tell it")

    deploy()
    monkeypatch.setattr(TerraformCloud, "token", refuse)
    monkeypatch.setattr(terraform_step, "apply", lambda *_, **__: None)
    monkeypatch.setattr(addresses, "wait", lambda *_, **__: None)
    simple = ("--cloud=aws", "--set=compute.platform=simple")
    started = devai("start", *simple, "--yes")
    assert started.returncode == 0, started.stderr
    assert started.stdout == "https://lab.mine.test/\n"
    assert "the cloud doesn't tell it" in started.stderr
    assert devai("open", *simple).returncode == 1


def test_where_terraform_has_no_cluster_none_is_asked(
    devai: Run, deploy: Callable[..., Deployed], outputs: Callable[..., None]
) -> None:
    outputs({})
    deployed = deploy(here=False)
    down = devai("down", "--cloud=aws", "--yes")
    assert "the cluster does not exist" in down.stderr
    assert deployed.asked == ["terraform destroy"]
