"""Stacks that version 0.1 deployed: their states are upgraded, and no resource is destroyed or replaced.

Version 0.1 wrote the states in `states/` for the environment dev of its shipped configuration, with sizes that each
platform offers, an image, and provider schema snapshots instead of a cloud.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from devai_tasks.config.project import Project

Run = Callable[..., CompletedProcess[str]]

STATES = Path(__file__).with_name("states")
STACKS = [(cloud, platform) for cloud in ("aws", "azure", "gcp") for platform in ("kubernetes", "simple")]
SIZES: dict[tuple[str, str], Any] = {
    ("azure", "simple"): {"lab": {"cpu": 1, "memory": "2Gi"}, "ollama": {"cpu": 2, "memory": "4Gi"}}
}


def upgraded(project: Project, cloud: str, platform: str) -> Path:
    """Set the project up with a stack that version 0.1 deployed; return the file of its state."""
    content = {
        "compute": {"platform": platform},
        "image": {"registry": "registry.example.org/lab", "digest": f"sha256:{'1' * 64}"},
        "resources": SIZES.get((cloud, platform), {}),
        "ollama": {"version": "0.17.4"},  # as in conf/common of version 0.1
    }
    (project.conf / f"stacks/{cloud}-dev.yaml").write_text(json.dumps(content), encoding="utf-8")
    file = project.root / f".devai/{cloud}-dev/offline/terraform.tfstate"
    file.parent.mkdir(parents=True)
    file.write_bytes(gzip.decompress((STATES / f"{cloud}-{platform}.json.gz").read_bytes()))
    return file


@pytest.mark.parametrize(("cloud", "platform"), STACKS)
def test_stack_of_version_0_1_keeps_its_names(project: Project, devai: Run, cloud: str, platform: str) -> None:
    upgraded(project, cloud, platform)
    flags = (f"--cloud={cloud}", "--offline")

    planned = devai("tf.plan", *flags, "--json")
    assert planned.returncode == 0, planned.stderr
    plan = json.loads(planned.stdout)
    assert plan["counts"].get("destroyed", 0) + plan["counts"].get("replaced", 0) == 0
    changes = {change["address"]: change["kind"] for change in plan["changes"]}
    # Version 0.1 allowed any principal to mount the file system.
    assert changes.pop("module.storage.aws_efs_file_system_policy.this", "changed") == "changed"
    assert changes == {"terraform_data.stack": "created"}


def test_upgraded_stack_is_recorded_by_its_next_apply(project: Project, devai: Run) -> None:
    file = upgraded(project, "aws", "simple")
    flags = ("--cloud=aws", "--offline")
    applied = devai("tf.apply", *flags, "--yes")
    assert applied.returncode == 0, applied.stderr
    record = next(
        entry["instances"][0]["attributes"]["input"]["value"]
        for entry in json.loads(file.read_text(encoding="utf-8"))["resources"]
        if entry["type"] == "terraform_data"
    )
    assert record["name"] == "devai-dev"
    again = devai("tf.plan", *flags, "--json")
    assert json.loads(again.stdout)["changes"] == []


@pytest.mark.parametrize(("cloud", "platform"), [*STACKS[::2], STACKS[1]])
def test_destroy_warns_of_cluster_resources_before_confirmation(
    project: Project, devai: Run, cloud: str, platform: str
) -> None:
    upgraded(project, cloud, platform)
    refused = devai("tf.destroy", f"--cloud={cloud}", "--offline", "--data")
    assert refused.returncode == 2
    warning, _, question = refused.stderr.partition("no terminal to ask")
    assert question
    assert ("the cluster's load balancer and disks are not managed by Terraform and remain" in warning) == (
        platform == "kubernetes"
    )
    hint = f"`inv down --env=dev --cloud={cloud} --data` removes them first"
    assert (hint in warning) == (platform == "kubernetes")


@pytest.mark.parametrize("cloud", ["aws", "azure", "gcp"])
def test_stack_of_version_0_1_is_not_created_twice(project: Project, devai: Run, cloud: str) -> None:
    """The state has no owner's record, but the resources contain their region."""
    upgraded(project, cloud, "kubernetes")
    refused = devai("tf.plan", f"--cloud={cloud}", "--offline", "--set=terraform.region=otherregion1")
    assert refused.returncode == 2, refused.stdout
    assert "and would be created twice: restore that value, or first run `inv down --env=dev" in refused.stderr
    assert f"delete .devai/{cloud}-dev/offline to start over" in refused.stderr
