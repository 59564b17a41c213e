output "logs" {
  description = "Where logs go: the log group's ARN."
  value       = aws_cloudwatch_log_group.this.arn
}
