locals {
  kubernetes = var.platform == "kubernetes"
  # Cloud Run pulls images with Google's service agent: only nodes need a second account.
  execution = local.kubernetes ? "nodes" : "lab"
  # Nodes write logs and metrics, and read only the registry.
  node_roles = local.kubernetes ? [
    "roles/logging.logWriter",
    "roles/monitoring.metricWriter",
    "roles/monitoring.viewer",
    "roles/stackdriver.resourceMetadata.writer",
  ] : []
}

resource "google_service_account" "this" {
  for_each = toset(["lab", local.execution])

  project      = var.account
  account_id   = "${var.name}-${each.key}"
  display_name = "${var.name} ${each.key}"
}

# The lab may read only its own secrets; each has a separate IAM binding.
resource "google_secret_manager_secret_iam_member" "this" {
  for_each = var.secrets

  secret_id = each.value
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.this["lab"].member
}

# On Cloud Run, the lab may use only its own buckets, whose names have a common prefix.
resource "google_project_iam_member" "files" {
  count = local.kubernetes ? 0 : 1

  project = var.account
  role    = "roles/storage.objectUser"
  member  = google_service_account.this["lab"].member

  condition {
    title      = "${var.name} files"
    expression = "resource.name.startsWith(\"projects/_/buckets/${var.file_system}\")"
  }
}

resource "google_project_iam_member" "nodes" {
  for_each = toset(local.node_roles)

  project = var.account
  role    = each.key
  member  = google_service_account.this["nodes"].member
}

resource "google_artifact_registry_repository_iam_member" "nodes" {
  count = local.kubernetes ? 1 : 0

  project    = var.account
  location   = split("/", var.registry_id)[3]
  repository = split("/", var.registry_id)[5]
  role       = "roles/artifactregistry.reader"
  member     = google_service_account.this["nodes"].member
}
