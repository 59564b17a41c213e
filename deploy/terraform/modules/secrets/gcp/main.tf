resource "google_secret_manager_secret" "this" {
  for_each = var.secret_versions

  project   = var.account
  secret_id = "${var.name}-${each.key}"
  labels    = var.labels

  replication {
    user_managed {
      replicas {
        location = var.region
      }
    }
  }
}

# Write-only: the value is not stored in plan or state, and is written only when its version changes. The argument is
# required, so the value is empty if this machine does not have it.
resource "google_secret_manager_secret_version" "this" {
  for_each = var.secret_versions

  secret                 = google_secret_manager_secret.this[each.key].id
  secret_data_wo         = lookup(var.secret_values, each.key, "")
  secret_data_wo_version = each.value

  # An instance of the service that starts during the change still reads the old version.
  lifecycle {
    create_before_destroy = true
  }
}
