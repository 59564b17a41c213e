"""What stacks are called in a cloud, as Terraform plans it: two of them can be in one account, region and all."""

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
# Types whose names are those of parts of another resource, which has the stack's name.
PARTS = {
    "aws_appautoscaling_policy", "aws_ecs_service", "aws_iam_role_policy", "azurerm_key_vault_certificate",
    "azurerm_key_vault_secret",
    "azurerm_monitor_data_collection_rule_association", "azurerm_monitor_diagnostic_setting",
    "azurerm_network_security_rule", "azurerm_private_dns_a_record", "azurerm_private_dns_zone",
    "azurerm_storage_share", "azurerm_subnet", "google_container_node_pool",
}  # fmt: skip
SIMPLE = ["compute.platform=simple", "resources.lab.cpu=1", "resources.lab.memory=2Gi", "resources.ollama.cpu=2"]
SMALL = [*SIMPLE, "resources.ollama.memory=4Gi"]
# Pairs of stacks of one account: project, environment, cloud's file, and what else is configured.
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
    """All recorded providers, served; the value by which Terraform finds them."""
    with serving.serving(sorted(recording.FOLDER.glob("*.json"))) as addresses:
        yield addresses


@pytest.mark.parametrize("pair", PAIRS)
def test_resources_of_two_stacks_have_different_names(project: Project, providers: str, pair: str) -> None:
    left, right = (planned_names(project, providers, stack) for stack in PAIRS[pair])
    assert len(left) > 10
    assert left & right == set()


def planned_names(project: Project, providers: str, stack: Planned) -> set[tuple[str, str, str]]:
    """Return the names in a plan from nothing: type, argument, value."""
    name, environment, cloud, overrides = stack
    for kind, file, like in (("profiles", environment, "dev"), ("clouds", cloud, cloud.partition("-")[0])):
        text = (project.conf / kind / f"{like}.yaml").read_text(encoding="utf-8")
        (project.conf / kind / f"{file}.yaml").write_text(text, encoding="utf-8")
    pushed = ["image.registry=registry.example.org/lab", f"image.digest=sha256:{'1' * 64}"]
    settings = load(project, Stack(environment, cloud), [f"project.name={name}", *pushed, *overrides], environ={})
    site = workdir.offline(project, settings, dry=False)
    tool = Terraform(site.root, site.data, environ={"TF_REATTACH_PROVIDERS": providers})
    tool.init(None)
    tool.plan(site.values, site.plan)
    planned = tool._json(["show", "-json", str(site.plan)], otherwise={})  # noqa: SLF001 - more than tasks want of it
    return {
        (resource["type"], argument, resource["values"][argument])
        for resource in resources(planned["planned_values"]["root_module"])
        for argument in NAMING
        if resource["type"] not in PARTS and isinstance(resource.get("values", {}).get(argument), str)
    }


def resources(module: Any) -> Iterator[Any]:
    """The resources of a module and of those inside."""
    yield from module.get("resources", ())
    for child in module.get("child_modules", ()):
        yield from resources(child)
