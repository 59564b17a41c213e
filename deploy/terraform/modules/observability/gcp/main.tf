# A bucket that is destroyed keeps its name for a week, in which it can be had back and nobody can have another of that
# name: this one's has a part that is new each time.
resource "terraform_data" "bucket" {}

resource "google_logging_project_bucket_config" "this" {
  project        = var.stack.account
  location       = var.stack.region
  bucket_id      = "${var.stack.name}-${substr(terraform_data.bucket.id, 0, 8)}"
  retention_days = var.stack.protected ? 365 : 30
}

# What belongs to the stack, in a bucket of its own: the cluster, the service, the network.
resource "google_logging_project_sink" "this" {
  project                = var.stack.account
  name                   = var.stack.name
  destination            = "logging.googleapis.com/${google_logging_project_bucket_config.this.id}"
  unique_writer_identity = true
  filter = join(" OR ", [
    "resource.labels.cluster_name=\"${var.stack.name}\"",
    "resource.labels.service_name=\"${var.stack.name}\"",
    "resource.labels.subnetwork_name=\"${var.stack.name}\"",
    "resource.labels.backend_service_name=\"${var.stack.name}\"",
  ])
}
