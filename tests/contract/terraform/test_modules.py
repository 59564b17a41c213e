"""The declarations of Terraform modules and roots, which use the same names in all clouds."""

from __future__ import annotations

import itertools
import re
from typing import Any

import hcl2
import pytest
from harness import hcl

from devai_tasks.offline import recording

FILES = {"README.md", "main.tf", "outputs.tf", "variables.tf", "versions.tf"}
ALL_MODULES = [*hcl.modules(), *hcl.roots()]
# Arguments of providers for labels.
LABELS = ("tags", "labels", "resource_labels", "user_labels")
CAPABILITIES = {
    "compute", "container-registry", "identity", "ingress", "kubernetes", "networking", "observability", "secrets",
    "storage",
}  # fmt: skip


def interface(module: hcl.Module) -> dict[str, tuple[Any, Any, Any, Any]]:
    """Return the properties of each variable that callers depend on; descriptions may differ between clouds."""
    return {
        name: (
            hcl.plain(declared["type"]),
            declared.get("nullable"),
            declared.get("ephemeral"),
            # Machine types differ by cloud.
            "default" in declared if name == "gpu_machine_type" else str(declared.get("default", "required")),
        )
        for name, declared in module.variables.items()
    }


@pytest.mark.parametrize("capability", hcl.capabilities())
def test_common_variables_of_cloud_modules_have_same_type_and_default(capability: str) -> None:
    """Compare only common variables, since modules declare only the variables that they use."""
    modules = [interface(hcl.Module(hcl.ROOT / "modules" / capability / cloud)) for cloud in hcl.CLOUDS]

    for left, right in itertools.combinations(modules, 2):
        common = left.keys() & right.keys()
        assert {name: left[name] for name in common} == {name: right[name] for name in common}


# Variables and outputs of modules of one cloud only. All others have the same name in several clouds.
CLOUD_SPECIFIC = {
    "aws": {
        "gateway_security_group_id", "kms_key_arn", "log_group_arn", "node_identity_id", "security_group_id",
        "storage_security_group_id", "subnet_ids", "target_group_arn",
    },
    "azure": {
        "egress_cidrs", "gateway_subnet_id", "key_vault_id", "lab_identity_client_id", "log_analytics_workspace_id",
        "network_security_group_id", "node_identity", "private_dns_zone_id", "resource_group_name", "storage_key",
    },
    "gcp": {"lab_identity_email", "log_bucket_id", "network_tag", "node_identity_email", "security_policy"},
}  # fmt: skip


def test_cloud_specific_variables_and_outputs_are_listed() -> None:
    names = {
        cloud: {name for module in hcl.modules() if module.folder.name == cloud for name in module.interface}
        for cloud in hcl.CLOUDS
    }

    assert {
        cloud: declared - set().union(*(names[other] for other in hcl.CLOUDS if other != cloud))
        for cloud, declared in names.items()
    } == CLOUD_SPECIFIC


# A field in the type of an object.
FIELD = re.compile(r"(\w+) = ")


@pytest.mark.parametrize("module", hcl.modules(), ids=str)
def test_module_uses_every_field_of_its_object_variables(module: hcl.Module) -> None:
    """Unused fields would hide what a module needs."""
    unused = [
        f"{name}.{field}"
        for name, declared in module.variables.items()
        for field in FIELD.findall(hcl.plain(declared["type"]))
        # Volumes are iterated by name.
        if name != "volumes" and not re.search(rf"\.{field}\b", module.body)
    ]

    assert unused == []


@pytest.mark.parametrize("cloud", hcl.CLOUDS)
def test_root_sets_all_variables_and_uses_all_outputs_of_modules(cloud: str) -> None:
    """An unset variable would silently use its default. Only the network's address range is not configurable."""
    root = hcl.Module(hcl.ROOT / cloud)

    for name, call in root.calls.items():
        module = hcl.Module((root.folder / hcl.plain(call["source"])).resolve())
        assert module.variables.keys() - call.keys() == {"cidr"} & module.variables.keys(), name
        unused = [
            output for output in module.outputs if not re.search(rf"module\.{name}(\[.\])?\.{output}\b", root.body)
        ]
        assert unused == []


@pytest.mark.parametrize("cloud", hcl.CLOUDS[1:])
def test_roots_have_same_variables_and_outputs(cloud: str) -> None:
    aws, other = hcl.Module(hcl.ROOT / "aws"), hcl.Module(hcl.ROOT / cloud)

    assert interface(other) == interface(aws)
    assert list(other.outputs) == list(aws.outputs)


def test_every_capability_has_a_module() -> None:
    assert set(hcl.capabilities()) == CAPABILITIES


@pytest.mark.parametrize("module", ALL_MODULES, ids=str)
def test_variables_have_type_description_and_nullable(module: hcl.Module) -> None:
    incomplete = {
        name: missing
        for name, declared in module.variables.items()
        if (missing := {"type", "description", "nullable"} - declared.keys())
    }

    assert not incomplete


@pytest.mark.parametrize("module", ALL_MODULES, ids=str)
def test_outputs_have_descriptions(module: hcl.Module) -> None:
    assert [name for name, declared in module.outputs.items() if not declared.get("description")] == []


@pytest.mark.parametrize("module", ALL_MODULES, ids=str)
def test_variables_are_used(module: hcl.Module) -> None:
    assert [name for name in module.variables if not re.search(rf"\bvar\.{name}\b", module.body)] == []


@pytest.mark.parametrize("module", ALL_MODULES, ids=str)
def test_modules_have_standard_file_names(module: hcl.Module) -> None:
    expected = FILES | ({"backend.tf"} if module.folder.parent == hcl.ROOT else set())

    assert {file.name for file in module.folder.iterdir() if file.suffix in {".tf", ".md"}} == expected


@pytest.mark.parametrize("module", ALL_MODULES, ids=str)
def test_the_readme_shows_what_is_declared(module: hcl.Module) -> None:
    _, _, rest = module.readme.read_text(encoding="utf-8").partition(hcl.BEGIN)

    assert rest.partition(hcl.END)[0].strip() == module.tables, "PYTHONPATH=tests python -m harness.hcl writes it"


@pytest.mark.parametrize("module", hcl.modules(), ids=str)
def test_readme_example_sets_required_variables(module: hcl.Module) -> None:
    text = module.readme.read_text(encoding="utf-8").partition("```hcl\n")[2].partition("```")[0]
    (call,) = hcl2.loads(text)["module"][0].values()
    passed = {name for name in call if not name.startswith("__")} - {"source"}

    assert hcl.plain(call["source"]) == f"../{module}"
    assert passed == {name for name, declared in module.variables.items() if "default" not in declared}


@pytest.mark.parametrize("cloud", hcl.CLOUDS)
def test_example_of_variables_matches_rendered_variables(cloud: str) -> None:
    example = hcl.example_file(cloud).read_text(encoding="utf-8")

    assert example == hcl.example(cloud), "PYTHONPATH=tests python -m harness.hcl writes it"


@pytest.mark.parametrize("cloud", hcl.CLOUDS)
def test_rendered_variables_match_declared_variables(cloud: str) -> None:
    rendered = {line.partition(" = ")[0] for line in hcl.example(cloud).splitlines()[1:]}
    ephemeral = {name for name, declared in hcl.Module(hcl.ROOT / cloud).variables.items() if declared.get("ephemeral")}

    assert rendered | ephemeral == hcl.Module(hcl.ROOT / cloud).variables.keys()
    assert ephemeral == {"secret_values"}


@pytest.mark.parametrize("module", ALL_MODULES, ids=str)
def test_version_constraints_are_the_same_everywhere(module: hcl.Module) -> None:
    block = module.terraform[0] if module.folder.parent != hcl.ROOT else module.terraform[-1]
    expected = {"aws": ">= 6.25, < 7", "azurerm": "~> 5.2", "google": ">= 7.6, < 8", "tls": "~> 4.1"}
    actual = {
        name: hcl.plain(provider["version"])
        for providers in block.get("required_providers", [])
        for name, provider in providers.items()
        if not name.startswith("__")
    }

    assert hcl.plain(block["required_version"]) == ">= 1.11"
    assert actual == {name: expected[name] for name in actual}


@pytest.mark.parametrize("cloud", ["aws", "azurerm", "google", "tls"])
def test_provider_snapshot_version_meets_constraint(cloud: str) -> None:
    version = recording.read(recording.FOLDER / f"{cloud}.json").version
    minimum, below = {"aws": ("6.25", "7"), "azurerm": ("5.2", "6"), "google": ("6.50", "8"), "tls": ("4.1", "5")}[
        cloud
    ]

    assert _number(minimum) <= _number(version) < _number(below)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


@pytest.mark.parametrize("module", ALL_MODULES, ids=str)
def test_resources_with_labels_support_set_labels(module: hcl.Module) -> None:
    snapshots = map(recording.read, recording.FOLDER.glob("*.json"))
    known = {name: block for snapshot in snapshots for name, block in snapshot.resources.items()}
    unlabeled = [
        resource.address
        for resource in module.resources
        for supported in [[name for name in LABELS if name in known.get(resource.type, {}).get("attributes", {})]]
        if supported and not any(name in resource.arguments for name in supported)
    ]

    assert unlabeled == []


# Azure's resource providers by prefixes of their resource types; "" for types without a provider to register.
SERVICES = {
    "Microsoft.ContainerInstance": ("container_group",),
    "Microsoft.ContainerRegistry": ("container_registry",),
    "Microsoft.ContainerService": ("kubernetes",),
    "Microsoft.KeyVault": ("key_vault",),
    "Microsoft.ManagedIdentity": ("federated_identity", "user_assigned"),
    "Microsoft.Network": (
        "application_gateway", "dns", "nat", "network", "private", "public_ip", "subnet", "virtual_network",
    ),
    "Microsoft.OperationalInsights": ("log_analytics",),
    "Microsoft.RecoveryServices": ("backup", "recovery_services"),
    "Microsoft.Storage": ("storage",),
    "microsoft.insights": ("monitor",),
    "": ("resource_group", "role_assignment", "terraform_data"),
}  # fmt: skip
# Resource providers that an AKS cluster or its add-ons use.
CLUSTER_SERVICES = {"Microsoft.Compute", "Microsoft.OperationsManagement", "Microsoft.PolicyInsights"}


def test_azure_registers_all_used_resource_providers() -> None:
    types = {resource.type for module in ALL_MODULES if "azure" in str(module) for resource in module.resources}
    used = {
        next(name for name, prefixes in SERVICES.items() if kind.removeprefix("azurerm_").startswith(prefixes))
        for kind in types
    }
    (provider,) = hcl.Module(hcl.ROOT / "azure").providers

    assert {*map(hcl.plain, provider["resource_providers_to_register"])} == used - {""} | CLUSTER_SERVICES


@pytest.mark.parametrize("module", hcl.modules(), ids=str)
def test_only_homes_and_backups_have_prevent_destroy(module: hcl.Module) -> None:
    protected = {resource.type for resource in module.resources if "prevent_destroy" in str(resource.arguments)}

    assert protected == {
        "storage/aws": {"aws_efs_file_system"},
        "storage/azure": {
            "azurerm_storage_account",
            "azurerm_storage_share",
            "azurerm_backup_protected_file_share",
        },
        "storage/gcp": {"google_filestore_instance", "google_storage_bucket"},
    }.get(str(module).removeprefix("modules/"), set())


@pytest.mark.parametrize("module", ALL_MODULES, ids=str)
def test_secrets_are_passed_by_write_only_arguments(module: hcl.Module) -> None:
    """Terraform rejects ephemeral values in other arguments; this test ensures that secrets are ephemeral."""
    for name, declared in module.variables.items():
        assert bool(declared.get("ephemeral")) == (name == "secret_values")
    written = re.findall(r"^\s*(\w+)\s*=.*var\.secret_values\b", module.body, re.MULTILINE)

    assert all(argument.endswith("_wo") or argument == "secret_values" for argument in written)


# Secrets in the state, for which providers offer no alternative; SECURITY.md lists them too.
IN_STATE = {
    "modules/ingress/aws": ["tls_private_key"],
    "modules/ingress/gcp": ["tls_private_key"],
    "modules/storage/azure": ["primary_access_key"],
    "modules/compute/azure": ["storage_account_key"],
}


@pytest.mark.parametrize("module", ALL_MODULES, ids=str)
def test_only_listed_modules_store_secrets_in_state(module: hcl.Module) -> None:
    secrets = re.findall(
        r"\b(tls_private_key(?=\")|primary_access_key|storage_account_key(?=\s*=)|secret_string(?=\s*=)|secret_data(?=\s*=)|admin_password)\b",
        module.body,
    )

    assert sorted(set(secrets)) == IN_STATE.get(str(module), [])
