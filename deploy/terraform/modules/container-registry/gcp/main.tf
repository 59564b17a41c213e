resource "google_artifact_registry_repository" "this" {
  #checkov:skip=CKV_GCP_84:Google's own keys encrypt it
  project       = var.stack.account
  location      = var.stack.region
  repository_id = var.stack.name
  format        = "DOCKER"
  labels        = var.stack.labels

  docker_config {
    immutable_tags = true
  }

  cleanup_policies {
    id     = "untagged"
    action = "DELETE"

    condition {
      tag_state             = "UNTAGGED"
      older_than            = "1209600s" # 14 days
      package_name_prefixes = [var.repository]
    }
  }

  # Stronger than the other: the last images are enough to roll back to.
  cleanup_policies {
    id     = "last"
    action = "KEEP"

    most_recent_versions {
      keep_count            = 30
      package_name_prefixes = [var.repository]
    }
  }
}
