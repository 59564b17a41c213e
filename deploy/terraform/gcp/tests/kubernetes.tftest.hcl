# GKE.
mock_provider "google" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  name                = "devai-prod"
  account             = "example-project"
  region              = "europe-west1"
  network_id          = "projects/example-project/global/networks/devai-dev"
  subnet_id           = "projects/example-project/regions/europe-west1/subnetworks/devai-dev"
  network_tag         = "devai-dev-workload"
  protected           = true
  labels              = { part-of = "devai" }
  allowed_cidrs       = ["192.0.2.0/24"]
  cpu                 = 2
  memory              = 4096
  max_replicas        = 3
  enable_gpu          = false
  gpu_machine_type    = "g2-standard-24"
  ollama              = { cpu = 2, memory = 8192 }
  lab_identity_id     = "projects/example-project/serviceAccounts/lab"
  node_identity_email = "nodes@example-project.iam.gserviceaccount.com"
  service_account     = { namespace = "devai-gcp-dev", name = "devai" }
}

run "cluster" {
  command = plan

  module {
    source = "../modules/kubernetes/gcp"
  }

  assert {
    condition     = toset([for block in google_container_cluster.this.master_authorized_networks_config[0].cidr_blocks : block.cidr_block]) == toset(var.allowed_cidrs)
    error_message = "only the allowed networks may connect to the API server"
  }

  assert {
    condition     = google_container_cluster.this.private_cluster_config[0].enable_private_nodes
    error_message = "nodes must have no public addresses"
  }

  assert {
    condition     = google_container_cluster.this.datapath_provider == "ADVANCED_DATAPATH"
    error_message = "network policies must be enforced"
  }

  assert {
    condition     = google_container_cluster.this.workload_identity_config[0].workload_pool == "example-project.svc.id.goog"
    error_message = "pods must have identities"
  }

  assert {
    condition     = google_service_account_iam_member.this.member == "serviceAccount:example-project.svc.id.goog[devai-gcp-dev/devai]"
    error_message = "the lab's pods must have the lab's identity"
  }

  assert {
    condition     = google_container_cluster.this.addons_config[0].gcp_filestore_csi_driver_config[0].enabled && google_container_cluster.this.addons_config[0].http_load_balancing[0].disabled == false
    error_message = "the driver of Filestore and the ingress controller must be enabled"
  }

  assert {
    condition     = google_container_cluster.this.deletion_protection
    error_message = "a protected cluster must have deletion protection"
  }

  assert {
    condition     = google_container_node_pool.this["default"].node_config[0].machine_type == "e2-standard-8" && google_container_node_pool.this["default"].autoscaling[0].total_max_node_count == 4
    error_message = "a node must have room for a lab and the model server"
  }

  assert {
    condition     = google_container_node_pool.this["default"].node_config[0].workload_metadata_config[0].mode == "GKE_METADATA" && google_container_node_pool.this["default"].node_config[0].shielded_instance_config[0].enable_secure_boot
    error_message = "pods must not get the node's identity"
  }

  assert {
    condition     = length(google_container_node_pool.this) == 1
    error_message = "without GPUs in the configuration, none must be created"
  }
}

run "gpus" {
  command = plan

  module {
    source = "../modules/kubernetes/gcp"
  }

  variables {
    enable_gpu = true
  }

  assert {
    condition     = google_container_node_pool.this["gpu"].node_config[0].guest_accelerator[0].type == "nvidia-l4" && google_container_node_pool.this["gpu"].node_config[0].guest_accelerator[0].count == 2
    error_message = "the node pool must have as many GPUs as the machine type"
  }

  assert {
    condition     = google_container_node_pool.this["gpu"].node_locations == toset(["europe-west1-b", "europe-west1-c", "europe-west1-d"])
    error_message = "nodes with GPUs must be in the zones that have the machine type"
  }

  assert {
    condition     = google_container_node_pool.this["gpu"].autoscaling[0].total_min_node_count == 0
    error_message = "nodes with GPUs must exist only while pods request them"
  }
}

run "size_above_maximum" {
  command = plan

  module {
    source = "../modules/kubernetes/gcp"
  }

  variables {
    cpu = 200
  }

  expect_failures = [google_container_cluster.this]
}

run "region_without_gpus" {
  command = plan

  module {
    source = "../modules/kubernetes/gcp"
  }

  variables {
    enable_gpu = true
  }

  override_data {
    target          = data.google_compute_machine_types.gpu
    override_during = plan
    values          = { machine_types = [] }
  }

  expect_failures = [google_container_node_pool.this["gpu"]]
}
