"""Names of resources in Terraform's plans: two stacks in the same account and region have different names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from harness.settings import load

from devai_tasks.config.project import Project
from devai_tasks.config.stack import Stack
from devai_tasks.offline import recording, serving
from devai_tasks.targets.terraform import workdir
from devai_tasks.targets.terraform.client import Terraform

Planned = tuple[str, str, str, list[str]]

# Arguments that name a resource.
NAMING = (
    "name", "bucket", "secret_id", "account_id", "repository_id", "creation_token", "family", "bucket_id", "dns_prefix",
    "domain_name_label",
)  # fmt: skip
# Types of sub-resources, whose parent has the stack's name.
PARTS = {
    "aws_appautoscaling_policy", "aws_ecs_service", "aws_iam_role_policy", "azurerm_key_vault_certificate",
    "azurerm_key_vault_secret",
    "azurerm_monitor_data_collection_rule_association", "azurerm_monitor_diagnostic_setting",
    "azurerm_network_security_rule", "azurerm_private_dns_a_record", "azurerm_private_dns_zone",
    "azurerm_storage_share", "azurerm_subnet", "google_container_node_pool",
}  # fmt: skip
SIMPLE = ["compute.platform=simple", "resources.lab.cpu=1", "resources.lab.memory=2Gi", "resources.ollama.cpu=2"]
SMALL = [*SIMPLE, "resources.ollama.memory=4Gi"]
# Pairs of stacks in one account: project, environment, the cloud's file, and overrides.
PAIRS = {
    f"{cloud}, {platform}": [("lab", "ml-dev", cloud, sizes), ("lab-ml", "dev", cloud, sizes)]
    for cloud, platform, sizes in (
        ("aws", "kubernetes", []),
        ("aws", "simple", ["compute.platform=simple"]),
        ("azure", "kubernetes", []),
        ("azure", "simple", SMALL),
        ("gcp", "kubernetes", []),
        ("gcp", "simple", ["compute.platform=simple"]),
    )
} | {"another file of a cloud": [("lab", "dev", "aws", []), ("lab", "dev", "aws-us", ["terraform.region=us-east-1"])]}


@pytest.fixture(scope="module")
def providers() -> Iterator[str]:
    """Serve all provider schema snapshots; the value of TF_REATTACH_PROVIDERS."""
    with serving.serving(sorted(recording.FOLDER.glob("*.json"))) as addresses:
        yield addresses


@pytest.mark.parametrize("pair", PAIRS)
def test_resources_of_two_stacks_have_different_names(project: Project, providers: str, pair: str) -> None:
    left, right = (planned_names(project, providers, stack) for stack in PAIRS[pair])
    assert len(left) > 10
    assert left & right == set()


def planned_names(project: Project, providers: str, stack: Planned) -> set[tuple[str, str, str]]:
    """Return the names in a first plan: resource type, argument, value."""
    name, environment, cloud, overrides = stack
    for kind, file, like in (("profiles", environment, "dev"), ("clouds", cloud, cloud.partition("-")[0])):
        text = (project.conf / kind / f"{like}.yaml").read_text(encoding="utf-8")
        (project.conf / kind / f"{file}.yaml").write_text(text, encoding="utf-8")
    pushed = ["image.registry=registry.example.org/lab", f"image.digest=sha256:{'1' * 64}"]
    settings = load(project, Stack(environment, cloud), [f"project.name={name}", *pushed, *overrides], environ={})
    directory = workdir.offline(project, settings, dry=False)
    tool = Terraform(directory.root, directory.data, environ={"TF_REATTACH_PROVIDERS": providers})
    tool.init(None)
    tool.plan(directory.values, directory.plan)
    planned = tool._json(["show", "-json", str(directory.plan)], otherwise={})  # noqa: SLF001 - for values that tasks do not use
    return {
        (resource["type"], argument, resource["values"][argument])
        for resource in resources(planned["planned_values"]["root_module"])
        for argument in NAMING
        if resource["type"] not in PARTS and isinstance(resource.get("values", {}).get(argument), str)
    }


def resources(module: Any) -> Iterator[Any]:
    """Yield the resources of a module and of its child modules."""
    yield from module.get("resources", ())
    for child in module.get("child_modules", ()):
        yield from resources(child)
