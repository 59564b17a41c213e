output "address" {
  description = "What the image is pushed to and pulled from, without the image's own name."
  value       = "${var.stack.region}-docker.pkg.dev/${var.stack.account}/${google_artifact_registry_repository.this.repository_id}"
}

output "id" {
  description = "The registry, for roles that may pull from it."
  value       = google_artifact_registry_repository.this.id
}
