locals {
  kubernetes = var.platform == "kubernetes"
  # Cloud Run pulls images by itself: only nodes need somebody to be.
  execution = local.kubernetes ? "nodes" : "lab"
  # What a node writes; it reads nothing but the registry.
  node_roles = local.kubernetes ? [
    "roles/logging.logWriter",
    "roles/monitoring.metricWriter",
    "roles/monitoring.viewer",
    "roles/stackdriver.resourceMetadata.writer",
  ] : []
}

resource "google_service_account" "this" {
  for_each = toset(["lab", local.execution])

  project      = var.stack.account
  account_id   = "${var.stack.name}-${each.key}"
  display_name = "${var.stack.name} ${each.key}"
}

# The lab reads its own secrets, each by name.
resource "google_secret_manager_secret_iam_member" "this" {
  for_each = var.secrets

  secret_id = each.value
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.this["lab"].member
}

# The lab's files on Cloud Run: its own buckets, which begin with the same name, and no others of the project.
resource "google_project_iam_member" "files" {
  count = local.kubernetes ? 0 : 1

  project = var.stack.account
  role    = "roles/storage.objectUser"
  member  = google_service_account.this["lab"].member

  condition {
    title      = "${var.stack.name} files"
    expression = "resource.name.startsWith(\"projects/_/buckets/${var.file_system}\")"
  }
}

resource "google_project_iam_member" "nodes" {
  for_each = toset(local.node_roles)

  project = var.stack.account
  role    = each.key
  member  = google_service_account.this["nodes"].member
}

resource "google_artifact_registry_repository_iam_member" "nodes" {
  count = local.kubernetes ? 1 : 0

  project    = var.stack.account
  location   = split("/", var.registry)[3]
  repository = split("/", var.registry)[5]
  role       = "roles/artifactregistry.reader"
  member     = google_service_account.this["nodes"].member
}
