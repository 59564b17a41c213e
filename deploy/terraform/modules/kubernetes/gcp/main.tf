locals {
  # The E2 series has 4 GiB per core. A node has room for one lab, the model server and the system.
  sizes = [4, 8, 16, 32]
  cores = var.cpu + (var.enable_gpu ? 0 : try(var.ollama.cpu, 0)) + 1
  gib   = (var.memory + (var.enable_gpu ? 0 : try(var.ollama.memory, 0))) / 1024 + 3
  fits  = [for size in local.sizes : size if size >= local.cores && size * 4 >= local.gib]
  # Number of L4 GPUs of a machine (Compute Engine, "G2 machine types").
  gpus      = lookup({ "24" = 2, "48" = 4, "96" = 8 }, split("-", var.gpu_machine_type)[2], 1)
  gpu_zones = [for zone, found in data.google_compute_machine_types.gpu : zone if length(found.machine_types) > 0]
  pools = merge(
    { default = { machine = "e2-standard-${try(local.fits[0], "none")}", zones = null, gpus = 0, min = 1, max = var.max_replicas + 1 } },
    { for name, pool in {
      gpu = { machine = var.gpu_machine_type, zones = local.gpu_zones, gpus = local.gpus, min = 0, max = var.max_replicas }
    } : name => pool if var.enable_gpu },
  )
}

# Only some zones have machine types with GPUs.
data "google_compute_zones" "this" {
  count = var.enable_gpu ? 1 : 0

  project = var.account
  region  = var.region
}

data "google_compute_machine_types" "gpu" {
  for_each = toset(flatten(data.google_compute_zones.this[*].names))

  project = var.account
  zone    = each.key
  filter  = "name = ${var.gpu_machine_type}"
}

resource "google_container_cluster" "this" {
  #checkov:skip=CKV_GCP_12:Dataplane V2 enforces network policies
  #checkov:skip=CKV_GCP_21:it has labels, which checkov does not see through modules
  #checkov:skip=CKV_GCP_65:IAM roles control access; Google Groups would require an organization
  #checkov:skip=CKV_GCP_66:images are pinned by digest
  #checkov:skip=CKV_GCP_69:set for the node pools
  #checkov:skip=CKV_GCP_68:set for the node pools
  #checkov:skip=CKV_GCP_61:the subnet has flow logs
  project                  = var.account
  location                 = var.region
  name                     = var.name
  network                  = var.network_id
  subnetwork               = var.subnet_id
  remove_default_node_pool = true
  initial_node_count       = 1
  deletion_protection      = var.protected
  enable_shielded_nodes    = true
  resource_labels          = var.labels
  # Cilium enforces the network policies of the manifests.
  datapath_provider = "ADVANCED_DATAPATH"

  release_channel {
    channel = "REGULAR"
  }

  ip_allocation_policy {
    cluster_secondary_range_name  = "pods"
    services_secondary_range_name = "services"
  }

  private_cluster_config {
    enable_private_nodes    = true
    enable_private_endpoint = false
    master_ipv4_cidr_block  = "172.16.0.0/28"
  }

  # Only the allowed networks can connect to the API server, to apply manifests.
  master_authorized_networks_config {
    gcp_public_cidrs_access_enabled = false

    dynamic "cidr_blocks" {
      for_each = var.allowed_cidrs

      content {
        cidr_block = cidr_blocks.value
      }
    }
  }

  master_auth {
    client_certificate_config {
      issue_client_certificate = false
    }
  }

  workload_identity_config {
    workload_pool = "${var.account}.svc.id.goog"
  }

  addons_config {
    gcp_filestore_csi_driver_config {
      enabled = true
    }

    gce_persistent_disk_csi_driver_config {
      enabled = true
    }

    http_load_balancing {
      disabled = false
    }

    horizontal_pod_autoscaling {
      disabled = false
    }
  }

  logging_config {
    enable_components = ["SYSTEM_COMPONENTS", "WORKLOADS"]
  }

  monitoring_config {
    enable_components = ["SYSTEM_COMPONENTS"]

    managed_prometheus {
      enabled = true
    }
  }

  # Applies to the default pool, which is deleted immediately.
  node_config {
    service_account = var.node_identity_email
  }

  lifecycle {
    ignore_changes = [node_config]

    precondition {
      condition     = length(local.fits) > 0
      error_message = "No machine type of the E2 series has ${local.cores} cores and ${local.gib} GiB, which one lab and the model server need."
    }
  }
}

resource "google_container_node_pool" "this" {
  for_each = local.pools

  project        = var.account
  location       = var.region
  node_locations = each.value.zones
  cluster        = google_container_cluster.this.name
  name           = each.key

  # Totals for all zones.
  autoscaling {
    total_min_node_count = each.value.min
    total_max_node_count = each.value.max
    location_policy      = each.value.gpus > 0 ? "ANY" : "BALANCED"
  }

  management {
    auto_repair  = true
    auto_upgrade = true
  }

  node_config {
    machine_type    = each.value.machine
    service_account = var.node_identity_email
    oauth_scopes    = ["https://www.googleapis.com/auth/cloud-platform"]
    tags            = [var.network_tag]
    labels          = { for name in ["devai.io/gpu"] : name => "true" if each.value.gpus > 0 }
    resource_labels = var.labels
    disk_size_gb    = 100
    disk_type       = "pd-balanced"

    # Pods have their own identity, not that of the node.
    workload_metadata_config {
      mode = "GKE_METADATA"
    }

    shielded_instance_config {
      enable_secure_boot          = true
      enable_integrity_monitoring = true
    }

    # GKE installs the driver, the device plugin and the taint.
    dynamic "guest_accelerator" {
      for_each = each.value.gpus > 0 ? [each.value.gpus] : []

      content {
        type  = "nvidia-l4"
        count = guest_accelerator.value

        gpu_driver_installation_config {
          gpu_driver_version = "DEFAULT"
        }
      }
    }
  }

  lifecycle {
    precondition {
      condition     = each.value.zones == null || length(coalesce(each.value.zones, [])) > 0
      error_message = "No zone of ${var.region} has a ${var.gpu_machine_type}. Set another gpu.machine_type or terraform.region."
    }
  }
}

# Only the lab's service account has the lab's identity.
resource "google_service_account_iam_member" "this" {
  service_account_id = var.lab_identity_id
  role               = "roles/iam.workloadIdentityUser"
  member             = "serviceAccount:${google_container_cluster.this.workload_identity_config[0].workload_pool}[${var.service_account.namespace}/${var.service_account.name}]"
}
