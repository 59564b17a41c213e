resource "google_secret_manager_secret" "this" {
  for_each = var.secret_versions

  project   = var.stack.account
  secret_id = "${var.stack.name}-${each.key}"
  labels    = var.stack.labels

  replication {
    user_managed {
      replicas {
        location = var.stack.region
      }
    }
  }
}

# Write-only: the value is in no plan and no state. It is written when its version is another one; until then providers
# want some value, and one that this machine doesn't have is empty.
resource "google_secret_manager_secret_version" "this" {
  for_each = var.secret_versions

  secret                 = google_secret_manager_secret.this[each.key].id
  secret_data_wo         = lookup(var.secret_values, each.key, "")
  secret_data_wo_version = each.value

  # An instance of the service that starts meanwhile still reads the old one.
  lifecycle {
    create_before_destroy = true
  }
}
