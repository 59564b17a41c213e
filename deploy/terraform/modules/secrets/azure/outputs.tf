output "secrets" {
  description = "Environment variable, and the id of its secret."
  value       = { for name, secret in azurerm_key_vault_secret.this : name => secret.resource_versionless_id }
}
