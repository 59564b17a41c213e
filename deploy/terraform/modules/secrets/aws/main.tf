resource "aws_secretsmanager_secret" "this" {
  #checkov:skip=CKV2_AWS_57:keys of other services and the lab's token: nothing here could rotate them
  for_each = var.secret_versions

  name                    = "${var.stack.name}/${each.key}"
  kms_key_id              = var.stack.vault
  recovery_window_in_days = var.stack.protected ? 30 : 0
  tags                    = var.stack.labels
}

# Write-only: the value is in no plan and no state. It is written when its version is another one; until then providers
# want some value, and one that this machine doesn't have is empty.
resource "aws_secretsmanager_secret_version" "this" {
  for_each = var.secret_versions

  secret_id                = aws_secretsmanager_secret.this[each.key].id
  secret_string_wo         = lookup(var.secret_values, each.key, "")
  secret_string_wo_version = each.value
}
