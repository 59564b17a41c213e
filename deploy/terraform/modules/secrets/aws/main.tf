resource "aws_secretsmanager_secret" "this" {
  #checkov:skip=CKV2_AWS_57:keys of other services and the lab's token can't be rotated automatically
  for_each = var.secret_versions

  name                    = "${var.name}/${each.key}"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = var.protected ? 30 : 0
  tags                    = var.labels
}

# Write-only: the value is not stored in plan or state, and is written only when its version changes. The argument is
# required, so the value is empty if this machine does not have it.
resource "aws_secretsmanager_secret_version" "this" {
  for_each = var.secret_versions

  secret_id                = aws_secretsmanager_secret.this[each.key].id
  secret_string_wo         = lookup(var.secret_values, each.key, "")
  secret_string_wo_version = each.value
}
