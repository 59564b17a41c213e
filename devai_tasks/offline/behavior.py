"""Behavior of the providers that schemas don't describe, from their documentation, for the types in use."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

# Optional arguments that the provider computes if they are not configured. Other optional arguments without a value
# stay null, so that removing one from the configuration is shown as a change.
_FILLED_EVERYWHERE: Mapping[str, Collection[str]] = {
    "aws": {"id", "region", "tags_all"},
    "azurerm": {"id"},
    "google": {"id", "project"},
    "tls": {"id"},
}
_FILLED: Mapping[str, Collection[str]] = {
    "aws_eip": {"public_ipv4_pool", "network_border_group"},
    "aws_iam_role": {"name"},
    "aws_kms_key": {"policy"},
    "aws_lb": {"name", "subnets"},
    "aws_lb_target_group": {"name"},
    "aws_security_group": {"name"},
    "aws_subnet": {"availability_zone", "availability_zone_id"},
    "aws_vpc": {"cidr_block"},
    "aws_eks_cluster": {"version"},
    "google_artifact_registry_repository": {"location"},
    "google_compute_address": {"address", "region"},
    "google_compute_global_address": {"address"},
    "google_compute_region_backend_service": {"region"},
    "google_compute_router": {"region"},
    "google_compute_router_nat": {"region"},
    "google_compute_subnetwork": {"region", "ip_cidr_range"},
    "google_container_cluster": {"location", "node_locations", "cluster_ipv4_cidr", "node_version"},
    "google_container_node_pool": {"location", "name", "version", "node_count"},
    "google_filestore_instance": {"location"},
    "google_kms_crypto_key": {"destroy_scheduled_duration"},
}
# Arguments whose change replaces the resource.
_REPLACING_EVERYWHERE: Mapping[str, Collection[str]] = {
    "aws": (),
    "azurerm": {"name", "location", "resource_group_name"},
    "google": {"name", "location", "project", "region", "zone"},
    "tls": {
        "algorithm", "allowed_uses", "dns_names", "ecdsa_curve", "rsa_bits", "subject", "validity_period_hours",
    },
}  # fmt: skip
_REPLACING: Mapping[str, Collection[str]] = {
    "aws_acm_certificate": {"domain_name", "subject_alternative_names", "validation_method"},
    "aws_ecr_repository": {"name", "encryption_configuration"},
    "aws_ecs_cluster": {"name"},
    "aws_ecs_service": {"name", "cluster"},
    # A task definition is a revision: every change creates a new one.
    "aws_ecs_task_definition": {
        "container_definitions", "cpu", "execution_role_arn", "family", "memory", "network_mode",
        "requires_compatibilities", "runtime_platform", "task_role_arn", "volume",
    },
    "aws_efs_file_system": {"creation_token", "encrypted", "kms_key_id", "performance_mode"},
    "aws_efs_mount_target": {"file_system_id", "subnet_id"},
    "aws_eks_cluster": {"name", "role_arn", "kubernetes_network_config"},
    "aws_iam_role": {"name", "path"},
    "aws_lb": {"name", "internal", "load_balancer_type"},
    "aws_lb_target_group": {"name", "port", "protocol", "target_type", "vpc_id"},
    # A secret version is immutable.
    "aws_secretsmanager_secret_version": {"secret_id", "secret_string_wo_version"},
    "aws_security_group": {"name", "description", "vpc_id"},
    "aws_subnet": {"availability_zone", "cidr_block", "vpc_id"},
    "aws_vpc": {"cidr_block"},
    "azurerm_container_group": {
        "container", "image_registry_credential", "init_container", "ip_address_type", "os_type", "restart_policy",
        "subnet_ids", "exposed_port", "dns_name_label", "diagnostics", "priority", "zones",
    },
    "azurerm_role_assignment": {"principal_id", "role_definition_name", "scope"},
    "azurerm_storage_account": {"account_kind", "account_replication_type", "infrastructure_encryption_enabled"},
    "azurerm_subnet": {"virtual_network_name"},
    "google_filestore_instance": {"tier", "networks", "protocol"},
    "google_secret_manager_secret_version": {"secret", "secret_data_wo_version"},
}  # fmt: skip
# Default labels: argument of the provider, argument of a resource, and attributes with the merged result.
MERGED: Mapping[str, tuple[str, str, Collection[str]]] = {
    "aws": ("default_tags", "tags", {"tags_all"}),
    "google": ("default_labels", "labels", {"terraform_labels", "effective_labels"}),
}

# Arguments by which a cloud or its provider prevents the destruction of a resource, or of one that is not empty, with
# the value that allows the destruction.
PROTECTIONS: Mapping[str, bool] = {
    "deletion_protection": False,
    "deletion_protection_enabled": False,
    "enable_deletion_protection": False,
    "force_delete": True,
    "force_destroy": True,
}

# Arguments that retain a destroyed resource and reserve its name for some days, with the value that disables this.
RETENTIONS: Mapping[str, int] = {"recovery_window_in_days": 0}

# Arguments that are newer than the packages that snapshots are made from: path of blocks, name, schema, and the version
# of the provider that added them.
NEWER: Mapping[str, tuple[tuple[str, ...], str, Mapping[str, Any], str]] = {
    "google_cloud_run_v2_service": (
        ("template", "volumes", "gcs"),
        "mount_options",
        {"optional": True, "type": ["list", "string"]},
        "google 7.5",
    ),
}


def provider_of(type_name: str) -> str:
    """Return the provider of a resource type, such as `aws` for `aws_vpc`."""
    return type_name.partition("_")[0]


def fills(type_name: str, name: str) -> bool:
    """Whether a provider computes the value of an argument that is not configured."""
    everywhere = _FILLED_EVERYWHERE.get(provider_of(type_name), ())
    return name in everywhere or name in _FILLED.get(type_name, ())


def replaces(type_name: str, name: str) -> bool:
    """Whether a change of an argument replaces the resource."""
    everywhere = _REPLACING_EVERYWHERE.get(provider_of(type_name), ())
    return name in everywhere or name in _REPLACING.get(type_name, ())


def incomplete(config: Mapping[str, Any]) -> list[str]:
    """Return the errors that a provider reports for a write-only argument's version without its value."""
    return [
        f'"{name}": all of `{value},{name}` must be specified'
        for name, version in config.items()
        if name.endswith("_wo_version") and version is not None
        for value in [name.removesuffix("_version")]
        if config.get(value) is None
    ]


def protections(state: Mapping[str, Any]) -> list[str]:
    """Return the arguments that protect a resource from destruction."""
    return [name for name, free in PROTECTIONS.items() if state.get(name) is (not free)]


def letting_go(state: Mapping[str, Any]) -> dict[str, bool | int]:
    """Return the argument values to set before a destroy, so that a resource is deleted at once and its name is free.

    Empty if all arguments have these values already.
    """
    return {name: free for name, free in {**PROTECTIONS, **RETENTIONS}.items() if state.get(name) not in {None, free}}


def computes(type_name: str, planned: Mapping[str, Any], provider: Mapping[str, Any]) -> dict[str, Any]:
    """Return computed attributes that other configurations parse.

    Args:
        type_name: type of the resource.
        planned: planned values of the resource.
        provider: configuration of the provider.
    """
    if type_name != "aws_eks_cluster":
        return {}
    region, (account, *_) = provider.get("region"), provider.get("allowed_account_ids") or ["123456789012"]
    return {"arn": f"arn:aws:eks:{region}:{account}:cluster/{planned['name']}"}


def answers(type_name: str, config: Mapping[str, Any], provider: Mapping[str, Any]) -> dict[str, Any]:
    """Return values of a data source that configurations depend on.

    Args:
        type_name: type of the data source.
        config: configuration of the data source.
        provider: configuration of the provider.
    """
    region = provider.get("region") or "eu-central-1"
    accounts = provider.get("allowed_account_ids") or ["123456789012"]
    known: dict[str, dict[str, Any]] = {
        "aws_availability_zones": {
            "names": [f"{region}{zone}" for zone in "abc"],
            "zone_ids": [f"{region}-az{zone}" for zone in "123"],
        },
        "aws_caller_identity": {"account_id": accounts[0]},
        "aws_partition": {"partition": "aws", "dns_suffix": "amazonaws.com"},
        "aws_region": {"name": region, "region": region},
        "azurerm_client_config": {"subscription_id": provider.get("subscription_id")},
        "google_client_config": {"project": provider.get("project"), "region": provider.get("region")},
        "google_project": {"project_id": config.get("project_id") or provider.get("project"), "number": "123456789012"},
        "google_compute_zones": {"names": [f"{region}-{zone}" for zone in "bcd"]},
    }
    return known.get(type_name, {})
