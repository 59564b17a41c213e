output "file_system" {
  description = "The file system: the storage account's name."
  value       = azurerm_storage_account.this.name
  # Nobody reaches it before it has its private address.
  depends_on = [azurerm_private_endpoint.this, azurerm_private_dns_zone_virtual_network_link.this]
}

output "volumes" {
  description = "What a volume names: the share; and the account's key, where container groups mount by it."
  sensitive   = true
  # Container Instances know no other way. The key is in the state; nobody reaches the account from outside.
  value = merge(
    { models = null, key = local.nfs ? null : azurerm_storage_account.this.primary_access_key },
    { for name, share in azurerm_storage_share.this : name => share.name },
  )
}
