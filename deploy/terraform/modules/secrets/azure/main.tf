# Write-only: the value is in no plan and no state. It is written when its version is another one; until then providers
# want some value, and one that this machine doesn't have is empty. Names of a vault have no underscores.
resource "azurerm_key_vault_secret" "this" {
  #checkov:skip=CKV_AZURE_41:keys of other services and the lab's token: nothing here knows when they end
  for_each = var.secret_versions

  name             = replace(each.key, "_", "-")
  key_vault_id     = var.stack.vault
  content_type     = "text/plain"
  value_wo         = lookup(var.secret_values, each.key, "")
  value_wo_version = each.value
  tags             = var.stack.labels
}
