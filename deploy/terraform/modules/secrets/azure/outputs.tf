output "secrets" {
  description = "Environment variable, and the id of its secret."
  value       = { for name, secret in azurerm_key_vault_secret.this : name => secret.resource_versionless_id }
}

output "versions" {
  description = "Environment variable, and the version that its value has."
  # Ours: the vault's own is known only after it was written.
  value = { for name, secret in azurerm_key_vault_secret.this : name => tostring(secret.value_wo_version) }
}
