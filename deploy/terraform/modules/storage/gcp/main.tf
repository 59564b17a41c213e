locals {
  # Pods mount Filestore with NFS. Cloud Run mounts buckets, because the smallest Filestore instance has 1 TiB.
  nfs = var.platform == "kubernetes"
  # The basic tier is in one zone, the regional tier in several.
  location = var.protected ? var.region : one(data.google_compute_zones.this[*].names[0])
  buckets = { for name, size in { home = var.storage_size_gb, models = var.models_size_gb } : name => {
    # The name of the home's bucket is the prefix of all others, so that one IAM condition covers all buckets.
    bucket = name == "home" ? var.unique_name : "${var.unique_name}-${name}"
    gib    = size
  } if size != null && !local.nfs }
}

data "google_compute_zones" "this" {
  count = local.nfs && !var.protected ? 1 : 0

  project = var.account
  region  = var.region
}

resource "google_filestore_instance" "this" {
  count = local.nfs ? 1 : 0

  project                     = var.account
  name                        = var.name
  location                    = local.location
  tier                        = var.protected ? "REGIONAL" : "BASIC_HDD"
  deletion_protection_enabled = var.protected ? true : null
  labels                      = var.labels

  file_shares {
    name        = "home"
    capacity_gb = var.storage_size_gb
  }

  networks {
    network = var.network_id
    modes   = ["MODE_IPV4"]
  }

  # Contains users' notebooks: only `inv tf.destroy --data` destroys this resource.
  lifecycle {
    prevent_destroy = true
  }
}

resource "google_storage_bucket" "this" {
  #checkov:skip=CKV_GCP_62:only the lab reads its files; Cloud Audit Logs record other access
  for_each = local.buckets

  project                     = var.account
  name                        = each.value.bucket
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = false
  labels                      = var.labels

  versioning {
    enabled = true
  }

  # Deleted and overwritten files can be restored for two weeks.
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

# A bucket has no size limit: an alert monitors the expected size.
resource "google_monitoring_alert_policy" "size" {
  for_each = local.buckets

  project      = var.account
  display_name = "${each.value.bucket}: size"
  combiner     = "OR"
  user_labels  = var.labels

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
