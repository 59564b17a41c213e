output "address" {
  description = "Address that images are pushed to and pulled from, without the name of the image."
  value       = "${var.region}-docker.pkg.dev/${var.account}/${google_artifact_registry_repository.this.repository_id}"
}

output "id" {
  description = "ID of the repository (projects/…/locations/…/repositories/…), for roles that allow pulling from it."
  value       = google_artifact_registry_repository.this.id
}
