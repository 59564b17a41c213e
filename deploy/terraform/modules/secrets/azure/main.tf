# Write-only: the value is in no plan and no state, and is written only when its version changes. The argument needs a
# value all the same: an empty one where this machine has none. Names
# of Key Vault secrets have no underscores.
resource "azurerm_key_vault_secret" "this" {
  #checkov:skip=CKV_AZURE_41:keys of other services and the lab's token, whose expiry is not known here
  for_each = var.secret_versions

  name             = replace(each.key, "_", "-")
  key_vault_id     = var.key_vault_id
  content_type     = "text/plain"
  value_wo         = lookup(var.secret_values, each.key, "")
  value_wo_version = each.value
  tags             = var.labels
}
