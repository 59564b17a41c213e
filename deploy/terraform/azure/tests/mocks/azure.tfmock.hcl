# Mocked responses of Azure that the tests depend on. IDs have the format that the provider validates.
mock_data "azurerm_client_config" {
  defaults = {
    tenant_id = "00000000-0000-0000-0000-00000000000a"
    object_id = "00000000-0000-0000-0000-00000000000b"
  }
}

mock_data "azurerm_dns_zone" {
  defaults = { name = "example.com", resource_group_name = "names" }
}

mock_resource "azurerm_application_gateway" {
  defaults = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.Network/applicationGateways/devai-dev" }
}

mock_resource "azurerm_container_group" {
  defaults = { ip_address = "10.42.0.4" }
}

mock_resource "azurerm_container_registry" {
  defaults = {
    id           = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.ContainerRegistry/registries/devaidev12345678"
    login_server = "devaidev12345678.azurecr.io"
  }
}

mock_resource "azurerm_key_vault" {
  defaults = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.KeyVault/vaults/devaidev12345678" }
}

mock_resource "azurerm_key_vault_certificate" {
  defaults = { versionless_secret_id = "https://devaidev12345678.vault.azure.net/secrets/self-signed" }
}

mock_resource "azurerm_key_vault_secret" {
  defaults = { resource_versionless_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.KeyVault/vaults/devaidev12345678/secrets/JUPYTER-TOKEN" }
}

mock_resource "azurerm_kubernetes_cluster" {
  defaults = {
    id              = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.ContainerService/managedClusters/devai-dev"
    oidc_issuer_url = "https://westeurope.oic.prod-aks.azure.com/issuer/"
    ingress_application_gateway = {
      ingress_application_gateway_identity = [{ object_id = "00000000-0000-0000-0000-00000000000e" }]
    }
  }
}

mock_resource "azurerm_log_analytics_workspace" {
  defaults = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.OperationalInsights/workspaces/devai-dev" }
}

mock_resource "azurerm_monitor_data_collection_rule" {
  defaults = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.Insights/dataCollectionRules/devai-dev" }
}

mock_resource "azurerm_nat_gateway" {
  defaults = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.Network/natGateways/devai-dev" }
}

mock_resource "azurerm_network_security_group" {
  defaults = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.Network/networkSecurityGroups/devai-dev" }
}

mock_resource "azurerm_private_dns_zone" {
  defaults = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.Network/privateDnsZones/devai-dev.internal" }
}

mock_resource "azurerm_public_ip" {
  defaults = {
    id         = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.Network/publicIPAddresses/devai-dev"
    ip_address = "203.0.113.7"
    fqdn       = "devaidev12345678.westeurope.cloudapp.azure.com"
  }
}

mock_resource "azurerm_storage_account" {
  defaults = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.Storage/storageAccounts/devaidev12345678", primary_access_key = "canary" }
}

mock_resource "azurerm_backup_policy_file_share" {
  defaults = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.RecoveryServices/vaults/devai-dev/backupPolicies/daily" }
}

mock_resource "azurerm_subnet" {
  defaults = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.Network/virtualNetworks/devai-dev/subnets/workload" }
}

mock_resource "azurerm_user_assigned_identity" {
  defaults = {
    id           = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.ManagedIdentity/userAssignedIdentities/devai-dev-execution"
    client_id    = "00000000-0000-0000-0000-00000000000c"
    principal_id = "00000000-0000-0000-0000-00000000000d"
  }
}

mock_resource "azurerm_virtual_network" {
  defaults = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.Network/virtualNetworks/devai-dev" }
}
