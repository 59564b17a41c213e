output "secrets" {
  description = "IDs of the secrets, by the name of the environment variable."
  value       = { for name, secret in google_secret_manager_secret.this : name => secret.id }
  # A service can't start while a secret has no value.
  depends_on = [google_secret_manager_secret_version.this]
}

output "versions" {
  description = "Versions of the values, by the name of the environment variable."
  value       = { for name, version in google_secret_manager_secret_version.this : name => version.version }
}
