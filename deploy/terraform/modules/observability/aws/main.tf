resource "aws_cloudwatch_log_group" "this" {
  name              = "/devai/${var.stack.name}"
  retention_in_days = 365
  kms_key_id        = var.stack.vault
  tags              = var.stack.labels
}
