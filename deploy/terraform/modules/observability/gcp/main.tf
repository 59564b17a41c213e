# The name of a deleted bucket stays reserved for a week, in which the bucket can be restored. Therefore each new bucket
# of a stack has a new name.
resource "terraform_data" "bucket" {}

resource "google_logging_project_bucket_config" "this" {
  project        = var.account
  location       = var.region
  bucket_id      = "${var.name}-${substr(terraform_data.bucket.id, 0, 8)}"
  retention_days = var.protected ? 365 : 30
}

# Copies the logs of the stack's cluster, service, subnet and load balancer to its bucket.
resource "google_logging_project_sink" "this" {
  project                = var.account
  name                   = var.name
  destination            = "logging.googleapis.com/${google_logging_project_bucket_config.this.id}"
  unique_writer_identity = true
  filter = join(" OR ", [
    "resource.labels.cluster_name=\"${var.name}\"",
    "resource.labels.service_name=\"${var.name}\"",
    "resource.labels.subnetwork_name=\"${var.name}\"",
    "resource.labels.backend_service_name=\"${var.name}\"",
  ])
}
