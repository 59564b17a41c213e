output "file_system" {
  description = "Name of the storage account."
  value       = azurerm_storage_account.this.name
  # The account is reachable only through its private address.
  depends_on = [azurerm_private_endpoint.this, azurerm_private_dns_zone_virtual_network_link.this]
}

output "volumes" {
  description = "Names of the shares of the home (`home`) and the models (`models`), and the key of the account (`key`), with which container groups mount them; null for values that do not exist."
  sensitive   = true
  # Container groups can mount shares only with this key. The key is in the state; the account has no public address.
  value = merge(
    { models = null, key = local.nfs ? null : azurerm_storage_account.this.primary_access_key },
    { for name, share in azurerm_storage_share.this : name => share.name },
  )
}
