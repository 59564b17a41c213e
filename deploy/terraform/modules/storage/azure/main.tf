locals {
  # Pods use NFS, which needs a premium account but no key; container groups support only SMB.
  nfs    = var.platform == "kubernetes"
  quotas = { for name, size in { home = var.storage_size_gb, models = var.models_size_gb } : name => size if size != null }
}

resource "azurerm_storage_account" "this" {
  #checkov:skip=CKV2_AZURE_1:encrypted with Microsoft-managed keys
  #checkov:skip=CKV2_AZURE_38:the account has no blobs; deleted shares are kept for two weeks
  #checkov:skip=CKV2_AZURE_41:the account has a SAS policy; without keys, no SAS can be signed
  #checkov:skip=CKV2_AZURE_40:container groups can mount shares only with the account's key
  name                            = var.unique_name
  resource_group_name             = var.resource_group_name
  location                        = var.region
  account_kind                    = local.nfs ? "FileStorage" : "StorageV2"
  account_tier                    = local.nfs ? "Premium" : "Standard"
  account_replication_type        = var.protected ? "ZRS" : "LRS"
  large_file_share_enabled        = true
  https_traffic_only_enabled      = !local.nfs
  min_tls_version                 = "TLS1_2"
  public_network_access_enabled   = false
  allow_nested_items_to_be_public = false
  shared_access_key_enabled       = !local.nfs
  default_to_oauth_authentication = true
  local_user_enabled              = false
  tags                            = var.labels

  network_rules {
    default_action = "Deny"
    bypass         = ["AzureServices"]
  }

  share_properties {
    retention_policy {
      days = 14
    }
  }

  sas_policy {
    expiration_period = "00.01:00:00"
    expiration_action = "Block"
  }

  # Contains users' notebooks: only `inv tf.destroy --data` destroys this resource.
  lifecycle {
    prevent_destroy = true
  }
}

resource "azurerm_storage_share" "this" {
  for_each = local.quotas

  name               = each.key
  storage_account_id = azurerm_storage_account.this.id
  quota              = each.value
  enabled_protocol   = local.nfs ? "NFS" : "SMB"

  lifecycle {
    prevent_destroy = true
  }
}

resource "azurerm_private_endpoint" "this" {
  name                = "${var.name}-files"
  resource_group_name = var.resource_group_name
  location            = var.region
  subnet_id           = var.subnet_id
  tags                = var.labels

  private_service_connection {
    name                           = "files"
    private_connection_resource_id = azurerm_storage_account.this.id
    subresource_names              = ["file"]
    is_manual_connection           = false
  }

  private_dns_zone_group {
    name                 = "files"
    private_dns_zone_ids = [azurerm_private_dns_zone.this.id]
  }
}

resource "azurerm_private_dns_zone" "this" {
  name                = "privatelink.file.core.windows.net"
  resource_group_name = var.resource_group_name
  tags                = var.labels
}

resource "azurerm_private_dns_zone_virtual_network_link" "this" {
  name                = var.name
  private_dns_zone_id = azurerm_private_dns_zone.this.id
  virtual_network_id  = var.network_id
  tags                = var.labels
}

# --- Daily backups of protected stacks, kept for 30 days; Azure does not support them for NFS ---

resource "azurerm_recovery_services_vault" "this" {
  count = var.protected && !local.nfs ? 1 : 0

  name                = var.name
  resource_group_name = var.resource_group_name
  location            = var.region
  sku                 = "Standard"
  tags                = var.labels

  identity {
    type = "SystemAssigned"
  }
}

resource "azurerm_backup_container_storage_account" "this" {
  count = var.protected && !local.nfs ? 1 : 0

  resource_group_name = var.resource_group_name
  recovery_vault_name = azurerm_recovery_services_vault.this[0].name
  storage_account_id  = azurerm_storage_account.this.id
}

resource "azurerm_backup_policy_file_share" "this" {
  count = var.protected && !local.nfs ? 1 : 0

  name                = "daily"
  resource_group_name = var.resource_group_name
  recovery_vault_name = azurerm_recovery_services_vault.this[0].name

  backup {
    frequency = "Daily"
    time      = "03:00"
  }

  retention_daily {
    count = 30
  }
}

resource "azurerm_backup_protected_file_share" "this" {
  count = var.protected && !local.nfs ? 1 : 0

  resource_group_name       = var.resource_group_name
  recovery_vault_name       = azurerm_recovery_services_vault.this[0].name
  source_storage_account_id = azurerm_backup_container_storage_account.this[0].storage_account_id
  source_file_share_name    = azurerm_storage_share.this["home"].name
  backup_policy_id          = azurerm_backup_policy_file_share.this[0].id

  # Backups are kept like the notebooks, together with all their dependencies.
  lifecycle {
    prevent_destroy = true
  }
}
