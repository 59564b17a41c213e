resource "google_artifact_registry_repository" "this" {
  #checkov:skip=CKV_GCP_84:encrypted with Google-managed keys
  project       = var.account
  location      = var.region
  repository_id = var.name
  format        = "DOCKER"
  labels        = var.labels

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

  # Takes precedence over deletion: the last 30 images are sufficient for rollbacks.
  cleanup_policies {
    id     = "last"
    action = "KEEP"

    most_recent_versions {
      keep_count            = 30
      package_name_prefixes = [var.repository]
    }
  }
}
