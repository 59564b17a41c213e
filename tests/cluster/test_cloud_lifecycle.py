"""The lifecycle of a protected stack in each cloud, from creation to removal, with `inv up`, `plan` and `down`.

Terraform applies the project's own root modules. The image is pushed to a real registry, and real pods pull the image.
The simulated parts of a cloud are listed in `harness.cloud_lifecycle`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.cloud_lifecycle import HOST, CloudStack, cloud_stack, token_in, values
from harness.engine import require_engine
from harness.kubernetes.api import Cluster
from harness.kubernetes.cluster import LocalCluster
from harness.prerequisites import skip_or_fail

from devai_tasks.workspace import runs


@pytest.fixture
def stack(cluster: Cluster, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[CloudStack]:
    """A stack that does not exist yet."""
    require_engine()
    if not isinstance(cluster, LocalCluster):
        skip_or_fail("a local cluster: it pulls from a registry of this machine")
    with cloud_stack(request.param, cluster, tmp_path) as new_stack:
        yield new_stack


@pytest.mark.parametrize("stack", ["aws", "azure", "gcp"], indirect=True)
def test_cloud_stack_is_created_changed_and_removed(stack: CloudStack) -> None:
    confirm = f"--confirm=devai-{stack.name}"
    # Output in the middle of each step: Terraform has created a resource, the image is being built, manifests are
    # being applied.
    killed = ("Creation complete", "exporting to image", "serverside-applied") if stack.cloud == "aws" else ()
    for mark in killed:
        assert mark in stack.kill_at(mark, "up", confirm)
    if stack.cloud == "azure":
        assert_up_fails_without_the_registry(stack)
    up = stack.inv("up", confirm)
    assert up.returncode == 0, up.stdout + up.stderr
    assert ("was interrupted, and its lock was released" in up.stderr) == bool(killed)
    assert up.stdout.splitlines()[-1].startswith(f"https://{HOST}/lab?token=")
    assert stack.get("api/status") == 403
    assert stack.get("api/status", token_in(up.stdout)) == 200
    assert_manifests_use_terraform_outputs(stack)
    assert stack.plan()["changes"] == []
    again = stack.inv("up", confirm)
    assert again.returncode == 0, again.stderr
    assert "nothing to change" in again.stderr

    # A key that affects only manifests, a key that affects only Terraform, and a key that affects both.
    stack_values = values(stack.cloud, stack.cluster, stack.registry.address)
    stack.edit({**stack_values, "env": {"ADDED": "yes"}})
    plan = stack.plan()
    assert {change["target"] for change in plan["changes"]} == {"kubernetes"}
    assert plan["keys"] == {"env.ADDED": {"before": "-", "now": "yes"}}
    stack.edit({**stack_values, "network": {"allowed_cidrs": ["198.19.0.0/16"]}})
    assert {change["target"] for change in stack.plan()["changes"]} == {"terraform"}
    stack.edit({**stack_values, "network": {**stack_values["network"], "base_url": "/lab/"}})
    assert {change["target"] for change in stack.plan()["changes"]} == {"terraform", "kubernetes"}

    stack.edit(stack_values)
    if stack.cloud == "gcp":
        assert_stack_stops_and_starts(stack, token_in(up.stdout))
    refused = stack.inv("down", "--data", confirm)
    assert refused.returncode == 2
    assert "is protected" in refused.stderr
    stack.edit({**stack_values, "protected": False})
    if stack.cloud == "aws":
        destroyed = "aws_eks_cluster.this: Destruction complete"
        assert destroyed in stack.kill_at(destroyed, "down", "--data", confirm)
    down = stack.inv("down", "--data", confirm)
    assert down.returncode == 0, down.stderr
    assert ("the cluster does not exist" in down.stderr) == (stack.cloud == "aws")
    assert_all_resources_are_removed(stack)

    lines = (stack.project.root / ".devai" / runs.HISTORY).read_text(encoding="utf-8").splitlines()
    history = [json.loads(line) for line in lines]
    stopped = [("stop", "done"), ("start", "done")] if stack.cloud == "gcp" else []
    failed = [("up", "failed")] if stack.cloud == "azure" else []
    expected = [*failed, ("up", "done"), ("up", "done"), *stopped, ("down", "refused"), ("down", "done")]
    assert [(line["task"], line["result"]) for line in history] == expected
    assert token_in(up.stdout) not in "".join(lines)


def assert_up_fails_without_the_registry(stack: CloudStack) -> None:
    """Run `up` while the registry is stopped: retries end after 30 s, and completed steps are reported."""
    stack.registry.stop()
    failed = stack.inv("up", f"--confirm=devai-{stack.name}")
    stack.registry.start()
    assert failed.returncode == 1, failed.stderr
    assert "terraform is done, image is not done" in failed.stderr


def assert_manifests_use_terraform_outputs(stack: CloudStack) -> None:
    """Three labs run the pushed image, with the identity and behind the ingress parts that Terraform has created."""
    namespace = f"--namespace=devai-{stack.name}"
    labs = stack.cluster.get("pods", namespace, "--selector=app.kubernetes.io/name=devai")["items"]
    assert len(labs) == 3
    (image,) = {pod["spec"]["containers"][0]["image"] for pod in labs}
    assert image.startswith(f"{stack.registry.address}/lab/devai-lab@sha256:")
    outputs = json.loads(stack.inv("tf.output", "--json").stdout)
    deployed = json.loads((stack.project.root / f".devai/{stack.name}/deployment.yaml").read_text(encoding="utf-8"))
    assert deployed["kubernetes"]["context"] == outputs["kube_context"]
    # On AWS, EKS Pod Identity associates the service account with the role outside of the manifests.
    accounts = json.dumps(stack.cluster.get("serviceaccounts", namespace)["items"])
    assert (outputs["identity"] in accounts) == (stack.cloud != "aws")
    if stack.cloud == "gcp":
        (ingress,) = stack.cluster.get("ingresses", namespace)["items"]
        address = ingress["metadata"]["annotations"]["kubernetes.io/ingress.global-static-ip-name"]
        assert address == outputs["ingress"]["address_name"]
        (backend,) = stack.cluster.get("backendconfigs", namespace)["items"]
        assert backend["spec"]["securityPolicy"]["name"] == outputs["ingress"]["security_policy"]


def assert_stack_stops_and_starts(stack: CloudStack, token: str) -> None:
    """A stopped stack has no pods, and no autoscaler creates any; after the start the same token is valid."""
    pods = ("pods", f"--namespace=devai-{stack.name}", "--field-selector=status.phase!=Succeeded")
    stopped = stack.inv("stop", f"--confirm=devai-{stack.name}")
    assert stopped.returncode == 0, stopped.stderr
    assert stack.cluster.get(*pods)["items"] == []
    rows = json.loads(stack.inv("status", "--json").stdout)["rows"]
    assert {row["state"].partition(" ")[0] for row in rows if row["what"].startswith("deployment")} == {"0/0"}
    started = stack.inv("start", f"--confirm=devai-{stack.name}")
    assert started.returncode == 0, started.stderr
    assert stack.get("api/status", token) == 200
    assert stack.plan()["changes"] == []


def assert_all_resources_are_removed(stack: CloudStack) -> None:
    """Neither Terraform's state nor the cluster contains a resource of the stack."""
    assert json.loads(stack.inv("tf.state-list", "--json").stdout) == []
    assert stack.cluster.kubectl("get", "namespace", f"devai-{stack.name}").returncode != 0
    selector = f"--selector=devai.io/stack=devai-{stack.name}"
    assert stack.cluster.get("storageclasses,ingressclasses", selector)["items"] == []
    volumes = stack.cluster.get("persistentvolumes")["items"]  # provisioned volumes do not have the label
    assert [volume for volume in volumes if volume["spec"]["claimRef"]["namespace"] == f"devai-{stack.name}"] == []
