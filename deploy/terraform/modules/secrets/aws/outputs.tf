output "secrets" {
  description = "Environment variable, and the id of its secret."
  value       = { for name, secret in aws_secretsmanager_secret.this : name => secret.arn }
  # A service that starts before its secrets have a value does not start.
  depends_on = [aws_secretsmanager_secret_version.this]
}

output "versions" {
  description = "Environment variable, and the version that its value has."
  value       = { for name, version in aws_secretsmanager_secret_version.this : name => version.version_id }
}
