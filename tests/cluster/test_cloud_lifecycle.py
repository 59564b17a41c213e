"""The life of a protected stack in each cloud, from nothing to nothing, through `inv up`, `plan` and `down`.

Terraform applies the project's own roots, the image goes to a real registry and comes from there into real pods. What
of a cloud is played, `harness.cloud_lifecycle` says.
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
def life(cluster: Cluster, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[CloudStack]:
    """A stack of which nothing is there yet."""
    require_engine()
    if not isinstance(cluster, LocalCluster):
        skip_or_fail("a cluster of one's own: it pulls from a registry of this machine")
    with cloud_stack(request.param, cluster, tmp_path) as own:
        yield own


@pytest.mark.parametrize("life", ["aws", "azure", "gcp"], indirect=True)
def test_a_cloud_stack_comes_up_changes_and_goes(life: CloudStack) -> None:
    confirm = f"--confirm=devai-{life.name}"
    # In the middle of each step: Terraform has made something, the image is being built, and manifests are applied.
    killed = ("Creation complete", "exporting to image", "serverside-applied") if life.cloud == "aws" else ()
    for mark in killed:
        assert mark in life.kill_at(mark, "up", confirm)
    if life.cloud == "azure":
        assert_that_it_waits_for_a_registry(life)
    up = life.inv("up", confirm)
    assert up.returncode == 0, up.stdout + up.stderr
    assert ("was interrupted, and its lock was released" in up.stderr) == bool(killed)
    assert up.stdout.splitlines()[-1].startswith(f"https://{HOST}/lab?token=")
    assert life.get("api/status") == 403
    assert life.get("api/status", token_in(up.stdout)) == 200
    assert_that_terraform_is_in_the_manifests(life)

    assert life.plan()["changes"] == []
    again = life.inv("up", confirm)
    assert again.returncode == 0, again.stderr
    assert "nothing to change" in again.stderr

    # A key that reaches manifests only, one of Terraform's only, and one of both.
    own = values(life.cloud, life.cluster, life.registry.address)
    life.edit({**own, "env": {"ADDED": "yes"}})
    plan = life.plan()
    assert {change["target"] for change in plan["changes"]} == {"kubernetes"}
    assert plan["keys"] == {"env.ADDED": {"before": "-", "now": "yes"}}
    life.edit({**own, "network": {"allowed_cidrs": ["198.19.0.0/16"]}})
    assert {change["target"] for change in life.plan()["changes"]} == {"terraform"}
    life.edit({**own, "network": {**own["network"], "base_url": "/lab/"}})
    assert {change["target"] for change in life.plan()["changes"]} == {"terraform", "kubernetes"}

    life.edit(own)
    if life.cloud == "gcp":
        assert_that_it_rests_and_comes_back(life, token_in(up.stdout))
    refused = life.inv("down", "--data", confirm)
    assert refused.returncode == 2
    assert "is protected" in refused.stderr
    life.edit({**own, "protected": False})
    if life.cloud == "aws":
        gone = "aws_eks_cluster.this: Destruction complete"
        assert gone in life.kill_at(gone, "down", "--data", confirm)
    down = life.inv("down", "--data", confirm)
    assert down.returncode == 0, down.stderr
    assert ("the cluster does not exist" in down.stderr) == (life.cloud == "aws")
    assert_that_nothing_is_left(life)

    lines = (life.project.root / ".devai" / runs.HISTORY).read_text(encoding="utf-8").splitlines()
    history = [json.loads(line) for line in lines]
    rested = [("stop", "done"), ("start", "done")] if life.cloud == "gcp" else []
    failed = [("up", "failed")] if life.cloud == "azure" else []
    done = [*failed, ("up", "done"), ("up", "done"), *rested, ("down", "refused"), ("down", "done")]
    assert [(line["task"], line["result"]) for line in history] == done
    assert token_in(up.stdout) not in "".join(lines)


def assert_that_it_waits_for_a_registry(life: CloudStack) -> None:
    """One that is gone is asked for half a minute; what is done by then stays, and the next run goes on."""
    life.registry.stop()
    failed = life.inv("up", f"--confirm=devai-{life.name}")
    life.registry.start()
    assert failed.returncode == 1, failed.stderr
    assert "terraform is done, image is not done" in failed.stderr


def assert_that_terraform_is_in_the_manifests(life: CloudStack) -> None:
    """Three labs run the image that was pushed, as who Terraform made, behind what it made."""
    here = f"--namespace=devai-{life.name}"
    labs = life.cluster.get("pods", here, "--selector=app.kubernetes.io/name=devai")["items"]
    assert len(labs) == 3
    (image,) = {pod["spec"]["containers"][0]["image"] for pod in labs}
    assert image.startswith(f"{life.registry.address}/lab/devai-lab@sha256:")
    outputs = json.loads(life.inv("tf.output", "--json").stdout)
    deployed = json.loads((life.project.root / f".devai/{life.name}/deployment.yaml").read_text(encoding="utf-8"))
    assert deployed["kubernetes"]["context"] == outputs["kube_context"]
    # On AWS the cluster knows whose account it is.
    accounts = json.dumps(life.cluster.get("serviceaccounts", here)["items"])
    assert (outputs["identity"] in accounts) == (life.cloud != "aws")
    if life.cloud == "gcp":
        (ingress,) = life.cluster.get("ingresses", here)["items"]
        address = ingress["metadata"]["annotations"]["kubernetes.io/ingress.global-static-ip-name"]
        assert address == outputs["ingress"]["address_name"]
        (backend,) = life.cluster.get("backendconfigs", here)["items"]
        assert backend["spec"]["securityPolicy"]["name"] == outputs["ingress"]["security_policy"]


def assert_that_it_rests_and_comes_back(life: CloudStack, token: str) -> None:
    """No pod in between, and no autoscaler that brings one; the same lab afterwards, by the same token."""
    pods = ("pods", f"--namespace=devai-{life.name}", "--field-selector=status.phase!=Succeeded")
    stopped = life.inv("stop", f"--confirm=devai-{life.name}")
    assert stopped.returncode == 0, stopped.stderr
    assert life.cluster.get(*pods)["items"] == []
    rows = json.loads(life.inv("status", "--json").stdout)["rows"]
    assert {row["state"].partition(" ")[0] for row in rows if row["what"].startswith("deployment")} == {"0/0"}
    started = life.inv("start", f"--confirm=devai-{life.name}")
    assert started.returncode == 0, started.stderr
    assert life.get("api/status", token) == 200
    assert life.plan()["changes"] == []


def assert_that_nothing_is_left(life: CloudStack) -> None:
    """No resource of Terraform, and no object of the cluster."""
    assert json.loads(life.inv("tf.state-list", "--json").stdout) == []
    assert life.cluster.kubectl("get", "namespace", f"devai-{life.name}").returncode != 0
    of_it = f"--selector=devai.io/stack=devai-{life.name}"
    assert life.cluster.get("storageclasses,ingressclasses", of_it)["items"] == []
    volumes = life.cluster.get("persistentvolumes")["items"]  # those that the cluster has made have no such label
    assert [it for it in volumes if it["spec"]["claimRef"]["namespace"] == f"devai-{life.name}"] == []
