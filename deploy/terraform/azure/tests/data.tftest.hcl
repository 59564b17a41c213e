# Registry, storage, secrets and identities.
mock_provider "azurerm" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  name                = "devai-dev"
  unique_name         = "devaidev12345678"
  resource_group_name = "devai-dev"
  region              = "westeurope"
  key_vault_id        = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.KeyVault/vaults/devaidev12345678"
  protected           = false
  labels              = { part-of = "devai" }
  network_id          = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.Network/virtualNetworks/devai-dev"
  subnet_id           = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.Network/virtualNetworks/devai-dev/subnets/endpoints"
  platform            = "simple"
  repository          = "devai-lab"
  storage_size_gb     = 50
  models_size_gb      = 30
  secret_versions     = { JUPYTER_TOKEN = 1, OPENAI_API_KEY = 3 }
  secret_values       = { JUPYTER_TOKEN = "canary", OPENAI_API_KEY = "canary" }
  registry_id         = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.ContainerRegistry/registries/devaidev12345678"
  file_system         = "devaidev12345678"
  secrets             = { JUPYTER_TOKEN = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.KeyVault/vaults/devaidev12345678/secrets/JUPYTER-TOKEN" }
}

run "registry" {
  command = plan

  module {
    source = "../modules/container-registry/azure"
  }

  assert {
    condition     = azurerm_container_registry.this.admin_enabled == false && azurerm_container_registry.this.anonymous_pull_enabled == false
    error_message = "the registry must have neither a shared password nor anonymous pulls"
  }

  assert {
    condition     = azurerm_container_registry.this.name == "devaidev12345678" && can(regex("^[a-zA-Z0-9]{5,50}$", azurerm_container_registry.this.name))
    error_message = "the name must be within the registry's limits"
  }

  assert {
    condition     = output.address == "devaidev12345678.azurecr.io"
    error_message = "the registry's address must not contain the image's name"
  }
}

run "protected_registry" {
  command = plan

  module {
    source = "../modules/container-registry/azure"
  }

  variables {
    protected = true
  }

  assert {
    condition     = azurerm_container_registry.this.sku == "Premium" && azurerm_container_registry.this.zone_redundancy_enabled
    error_message = "a protected stack must tolerate the failure of a zone"
  }
}

run "files" {
  command = plan

  module {
    source = "../modules/storage/azure"
  }

  assert {
    condition     = azurerm_storage_account.this.public_network_access_enabled == false && azurerm_storage_account.this.network_rules[0].default_action == "Deny"
    error_message = "the storage account must have a private address only"
  }

  assert {
    condition     = azurerm_storage_account.this.https_traffic_only_enabled && azurerm_storage_account.this.min_tls_version == "TLS1_2"
    error_message = "SMB must be encrypted in transit"
  }

  assert {
    condition     = azurerm_storage_account.this.account_kind == "StorageV2" && azurerm_storage_account.this.large_file_share_enabled
    error_message = "large shares must be enabled"
  }

  assert {
    condition     = azurerm_storage_share.this["home"].quota == 50 && azurerm_storage_share.this["models"].quota == 30
    error_message = "sizes must be the configured ones"
  }

  assert {
    condition     = azurerm_private_endpoint.this.private_service_connection[0].subresource_names == tolist(["file"])
    error_message = "the private endpoint must be that of the file service"
  }

  assert {
    condition     = azurerm_private_dns_zone.this.name == "privatelink.file.core.windows.net"
    error_message = "the private DNS zone must have the name that clients resolve"
  }

  assert {
    condition     = azurerm_storage_account.this.share_properties[0].retention_policy[0].days == 14
    error_message = "deleted shares must be recoverable"
  }

  assert {
    condition     = can(regex("^[a-z0-9]{3,24}$", azurerm_storage_account.this.name))
    error_message = "the name must be within the limits of a storage account"
  }
}

run "cluster_files" {
  command = plan

  module {
    source = "../modules/storage/azure"
  }

  variables {
    platform        = "kubernetes"
    storage_size_gb = 100
    models_size_gb  = null
  }

  assert {
    condition     = azurerm_storage_account.this.account_kind == "FileStorage" && azurerm_storage_share.this["home"].enabled_protocol == "NFS"
    error_message = "pods must use NFS, which requires a premium account"
  }

  assert {
    condition     = azurerm_storage_account.this.shared_access_key_enabled == false
    error_message = "mounts must not need an account key"
  }

  assert {
    condition     = length(azurerm_storage_share.this) == 1 && output.volumes.key == null
    error_message = "models must be on a disk of the cluster"
  }
}

run "protected_files" {
  command = plan

  module {
    source = "../modules/storage/azure"
  }

  variables {
    protected = true
  }

  assert {
    condition     = azurerm_storage_account.this.account_replication_type == "ZRS" && azurerm_backup_policy_file_share.this[0].retention_daily[0].count == 30
    error_message = "a protected stack must have zone redundancy and backups"
  }
}

run "size_below_minimum" {
  command = plan

  module {
    source = "../modules/storage/azure"
  }

  variables {
    platform        = "kubernetes"
    storage_size_gb = 99
  }

  expect_failures = [var.storage_size_gb]
}

run "secrets" {
  command = plan

  module {
    source = "../modules/secrets/azure"
  }

  assert {
    condition     = azurerm_key_vault_secret.this["JUPYTER_TOKEN"].name == "JUPYTER-TOKEN"
    error_message = "names in a vault must not contain underscores"
  }

  assert {
    condition     = azurerm_key_vault_secret.this["OPENAI_API_KEY"].value_wo_version == 3
    error_message = "a higher version must write the value again"
  }

  assert {
    condition     = alltrue([for secret in azurerm_key_vault_secret.this : secret.value == null])
    error_message = "the plan must not contain values"
  }
}

run "secret_without_value" {
  command = plan

  module {
    source = "../modules/secrets/azure"
  }

  variables {
    secret_values = { JUPYTER_TOKEN = "canary" }
  }

  assert {
    condition     = azurerm_key_vault_secret.this["OPENAI_API_KEY"].value_wo_version == 3
    error_message = "a secret without a value must keep its version in the cloud"
  }
}

run "identities" {
  command = plan

  module {
    source = "../modules/identity/azure"
  }

  assert {
    condition     = azurerm_role_assignment.secrets["JUPYTER_TOKEN"].scope == var.secrets["JUPYTER_TOKEN"] && azurerm_role_assignment.secrets["JUPYTER_TOKEN"].role_definition_name == "Key Vault Secrets User"
    error_message = "the lab must be able to read its own secrets only"
  }

  assert {
    condition     = azurerm_role_assignment.pull.role_definition_name == "AcrPull" && azurerm_role_assignment.pull.scope == var.registry_id
    error_message = "the execution identity may only pull from the registry"
  }

  assert {
    condition     = length(azurerm_role_assignment.nodes) == 0
    error_message = "without a cluster, there must be no role assignments for nodes"
  }
}
