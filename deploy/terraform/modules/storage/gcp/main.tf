locals {
  # Pods mount a share by NFS; Cloud Run mounts buckets, where a share of 1 TiB would be out of proportion.
  nfs = var.platform == "kubernetes"
  # Filestore's zonal tiers are in one zone, its regional one in several.
  location = var.stack.protected ? var.stack.region : one(data.google_compute_zones.this[*].names[0])
  buckets = { for name, size in { home = var.storage_size_gb, models = var.models_size_gb } : name => {
    # The home's name is the beginning of the others': one condition on the lab's role covers them.
    bucket = name == "home" ? var.stack.unique : "${var.stack.unique}-${name}"
    gib    = size
  } if size != null && !local.nfs }
}

data "google_compute_zones" "this" {
  count = local.nfs && !var.stack.protected ? 1 : 0

  project = var.stack.account
  region  = var.stack.region
}

resource "google_filestore_instance" "this" {
  count = local.nfs ? 1 : 0

  project                     = var.stack.account
  name                        = var.stack.name
  location                    = local.location
  tier                        = var.stack.protected ? "REGIONAL" : "BASIC_HDD"
  deletion_protection_enabled = var.stack.protected ? true : null
  labels                      = var.stack.labels

  file_shares {
    name        = "home"
    capacity_gb = var.storage_size_gb
  }

  networks {
    network = var.network.id
    modes   = ["MODE_IPV4"]
  }

  # People's notebooks: `inv tf.destroy --data` says how to take the latch off.
  lifecycle {
    prevent_destroy = true
  }
}

resource "google_storage_bucket" "this" {
  #checkov:skip=CKV_GCP_62:who reads a notebook is the lab's own; Cloud Audit Logs have the rest
  for_each = local.buckets

  project                     = var.stack.account
  name                        = each.value.bucket
  location                    = var.stack.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = false
  labels                      = var.stack.labels

  versioning {
    enabled = true
  }

  # Deleted and overwritten files can be had back for two weeks.
  lifecycle_rule {
    action {
      type = "Delete"
    }

    condition {
      days_since_noncurrent_time = 14
    }
  }

  lifecycle {
    prevent_destroy = true
  }
}

# A bucket has no size: what is asked for is watched.
resource "google_monitoring_alert_policy" "size" {
  for_each = local.buckets

  project      = var.stack.account
  display_name = "${each.value.bucket}: size"
  combiner     = "OR"
  user_labels  = var.stack.labels

  conditions {
    display_name = "more than storage.${each.key} of the configuration"

    condition_threshold {
      filter          = "resource.type = \"gcs_bucket\" AND resource.labels.bucket_name = \"${each.value.bucket}\" AND metric.type = \"storage.googleapis.com/storage/v2/total_bytes\""
      comparison      = "COMPARISON_GT"
      threshold_value = each.value.gib * 1024 * 1024 * 1024
      duration        = "0s"

      aggregations {
        alignment_period     = "3600s"
        per_series_aligner   = "ALIGN_MAX"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }
}
