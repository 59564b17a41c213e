output "secrets" {
  description = "Resource IDs of the secrets, without version, by the name of the environment variable."
  value       = { for name, secret in azurerm_key_vault_secret.this : name => secret.resource_versionless_id }
}

output "versions" {
  description = "Versions of the values, by the name of the environment variable."
  # The version from the input: the vault's version is unknown until the value is written.
  value = { for name, secret in azurerm_key_vault_secret.this : name => tostring(secret.value_wo_version) }
}
