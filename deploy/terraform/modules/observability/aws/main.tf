resource "aws_cloudwatch_log_group" "this" {
  name              = "/devai/${var.name}"
  retention_in_days = 365
  kms_key_id        = var.kms_key_arn
  tags              = var.labels
}
