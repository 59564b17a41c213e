# Images, files, secrets and identities.
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
    error_message = "no shared password, and nobody pulls without a name"
  }

  assert {
    condition     = azurerm_container_registry.this.name == "devaidev12345678" && can(regex("^[a-zA-Z0-9]{5,50}$", azurerm_container_registry.this.name))
    error_message = "the name is within the registry's limits"
  }

  assert {
    condition     = output.address == "devaidev12345678.azurecr.io"
    error_message = "the address is without the image's name"
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
    error_message = "a protected stack outlives a zone"
  }
}

run "files" {
  command = plan

  module {
    source = "../modules/storage/azure"
  }

  assert {
    condition     = azurerm_storage_account.this.public_network_access_enabled == false && azurerm_storage_account.this.network_rules[0].default_action == "Deny"
    error_message = "the account has a private address only"
  }

  assert {
    condition     = azurerm_storage_account.this.https_traffic_only_enabled && azurerm_storage_account.this.min_tls_version == "TLS1_2"
    error_message = "SMB is encrypted on its way"
  }

  assert {
    condition     = azurerm_storage_account.this.account_kind == "StorageV2" && azurerm_storage_account.this.large_file_share_enabled
    error_message = "large shares"
  }

  assert {
    condition     = azurerm_storage_share.this["home"].quota == 50 && azurerm_storage_share.this["models"].quota == 30
    error_message = "sizes are the configuration's"
  }

  assert {
    condition     = azurerm_private_endpoint.this.private_service_connection[0].subresource_names == tolist(["file"])
    error_message = "the private address is that of the files"
  }

  assert {
    condition     = azurerm_private_dns_zone.this.name == "privatelink.file.core.windows.net"
    error_message = "and has the name that clients look for"
  }

  assert {
    condition     = azurerm_storage_account.this.share_properties[0].retention_policy[0].days == 14
    error_message = "deleted shares can be had back"
  }

  assert {
    condition     = can(regex("^[a-z0-9]{3,24}$", azurerm_storage_account.this.name))
    error_message = "the name is within the account's limits"
  }
}

run "files_of_a_cluster" {
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
    error_message = "pods mount by NFS, which premium accounts have"
  }

  assert {
    condition     = azurerm_storage_account.this.shared_access_key_enabled == false
    error_message = "and need no key"
  }

  assert {
    condition     = length(azurerm_storage_share.this) == 1 && output.volumes.key == null
    error_message = "models are on a disk of the cluster"
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
    error_message = "a protected stack outlives a zone, and has backups"
  }
}

run "less_than_the_least" {
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
    error_message = "names of a vault have no underscores"
  }

  assert {
    condition     = azurerm_key_vault_secret.this["OPENAI_API_KEY"].value_wo_version == 3
    error_message = "a raised version writes the value again"
  }

  assert {
    condition     = alltrue([for secret in azurerm_key_vault_secret.this : secret.value == null])
    error_message = "no value is in the plan"
  }
}

run "secrets_of_which_one_is_set_elsewhere" {
  command = plan

  module {
    source = "../modules/secrets/azure"
  }

  variables {
    secret_values = { JUPYTER_TOKEN = "canary" }
  }

  assert {
    condition     = azurerm_key_vault_secret.this["OPENAI_API_KEY"].value_wo_version == 3
    error_message = "a secret without a value here keeps the version that the cloud has"
  }
}

run "identities" {
  command = plan

  module {
    source = "../modules/identity/azure"
  }

  assert {
    condition     = azurerm_role_assignment.secrets["JUPYTER_TOKEN"].scope == var.secrets["JUPYTER_TOKEN"] && azurerm_role_assignment.secrets["JUPYTER_TOKEN"].role_definition_name == "Key Vault Secrets User"
    error_message = "the lab reads its own secrets, each by name"
  }

  assert {
    condition     = azurerm_role_assignment.pull.role_definition_name == "AcrPull" && azurerm_role_assignment.pull.scope == var.registry_id
    error_message = "who starts it pulls from the registry, and does no more there"
  }

  assert {
    condition     = length(azurerm_role_assignment.nodes) == 0
    error_message = "no rights for a cluster that isn't there"
  }
}
