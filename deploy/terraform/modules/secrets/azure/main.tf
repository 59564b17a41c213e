# Write-only: the value is not stored in plan or state, and is written only when its version changes. The argument is
# required, so the value is empty if this machine does not have it. Names of Key Vault secrets have no underscores.
resource "azurerm_key_vault_secret" "this" {
  #checkov:skip=CKV_AZURE_41:the expiry of other services' keys and of the lab's token is unknown
  for_each = var.secret_versions

  name             = replace(each.key, "_", "-")
  key_vault_id     = var.key_vault_id
  content_type     = "text/plain"
  value_wo         = lookup(var.secret_values, each.key, "")
  value_wo_version = each.value
  tags             = var.labels
}
