output "secrets" {
  description = "Environment variable, and the id of its secret."
  value       = { for name, secret in google_secret_manager_secret.this : name => secret.id }
  # A service that starts before its secrets have a value does not start.
  depends_on = [google_secret_manager_secret_version.this]
}

output "versions" {
  description = "Environment variable, and the version that its value has."
  value       = { for name, version in google_secret_manager_secret_version.this : name => version.version }
}
