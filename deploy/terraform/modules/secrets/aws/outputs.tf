output "secrets" {
  description = "ARNs of the secrets, by the name of the environment variable."
  value       = { for name, secret in aws_secretsmanager_secret.this : name => secret.arn }
  # A service can't start while a secret has no value.
  depends_on = [aws_secretsmanager_secret_version.this]
}

output "versions" {
  description = "Versions of the values, by the name of the environment variable."
  value       = { for name, version in aws_secretsmanager_secret_version.this : name => version.version_id }
}
