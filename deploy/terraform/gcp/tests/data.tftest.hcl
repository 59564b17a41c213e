# Registry, storage, secrets and service accounts.
mock_provider "google" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  name            = "devai-dev"
  unique_name     = "devaidev12345678"
  account         = "example-project"
  region          = "europe-west1"
  protected       = false
  labels          = { part-of = "devai" }
  network_id      = "projects/example-project/global/networks/devai-dev"
  platform        = "simple"
  repository      = "devai-lab"
  storage_size_gb = 50
  models_size_gb  = 30
  secret_versions = { JUPYTER_TOKEN = 1, OPENAI_API_KEY = 3 }
  secret_values   = { JUPYTER_TOKEN = "canary", OPENAI_API_KEY = "canary" }
  registry_id     = "projects/example-project/locations/europe-west1/repositories/devai-dev"
  file_system     = "devaidev12345678"
  secrets         = { JUPYTER_TOKEN = "projects/example-project/secrets/devai-dev-JUPYTER_TOKEN" }
}

run "registry" {
  command = plan

  module {
    source = "../modules/container-registry/gcp"
  }

  assert {
    condition     = google_artifact_registry_repository.this.docker_config[0].immutable_tags
    error_message = "tags must be immutable"
  }

  assert {
    condition     = toset([for policy in google_artifact_registry_repository.this.cleanup_policies : policy.action]) == toset(["DELETE", "KEEP"])
    error_message = "old untagged images must be deleted, and the latest ones kept"
  }

  assert {
    condition     = output.address == "europe-west1-docker.pkg.dev/example-project/devai-dev"
    error_message = "the registry's address must not contain the image's name"
  }
}

run "buckets" {
  command = plan

  module {
    source = "../modules/storage/gcp"
  }

  assert {
    condition     = length(data.google_compute_zones.this) == 0
    error_message = "zones must not be queried unless a resource needs them"
  }

  assert {
    condition     = alltrue([for bucket in google_storage_bucket.this : bucket.uniform_bucket_level_access && bucket.public_access_prevention == "enforced"])
    error_message = "buckets must not be public"
  }

  assert {
    condition     = alltrue([for bucket in google_storage_bucket.this : bucket.versioning[0].enabled && bucket.force_destroy == false])
    error_message = "overwritten files must be recoverable"
  }

  assert {
    condition     = output.file_system == "devaidev12345678" && output.volumes.models == "devaidev12345678-models"
    error_message = "the name of the models' bucket must begin with that of the home's"
  }

  assert {
    condition     = google_monitoring_alert_policy.size["home"].conditions[0].condition_threshold[0].threshold_value == 50 * 1024 * 1024 * 1024
    error_message = "a bucket has no size limit: the alert's threshold must be the configured size"
  }

  assert {
    condition     = alltrue([for bucket in google_storage_bucket.this : can(regex("^[a-z0-9][a-z0-9_-]{1,61}[a-z0-9]$", bucket.name)) && bucket.labels["part-of"] == "devai"])
    error_message = "names must be within the limits, and buckets must have the stack's labels"
  }

  assert {
    condition     = length(google_filestore_instance.this) == 0
    error_message = "without a cluster, there must be no Filestore instance"
  }
}

run "cluster_share" {
  command = plan

  module {
    source = "../modules/storage/gcp"
  }

  variables {
    platform        = "kubernetes"
    storage_size_gb = 1024
    models_size_gb  = null
  }

  assert {
    condition     = google_filestore_instance.this[0].file_shares[0].capacity_gb == 1024 && google_filestore_instance.this[0].tier == "BASIC_HDD" && google_filestore_instance.this[0].location == "europe-west1-b"
    error_message = "the size must be the configured one"
  }

  assert {
    condition     = output.volumes.home == "modeInstance/europe-west1-b/devai-dev/home" && output.file_system == "10.0.0.2"
    error_message = "the volume handle must be in the driver's format"
  }

  assert {
    condition     = length(google_storage_bucket.this) == 0 && output.volumes.models == null
    error_message = "models must be on a disk of the cluster"
  }
}

run "protected_share" {
  command = plan

  module {
    source = "../modules/storage/gcp"
  }

  variables {
    platform        = "kubernetes"
    storage_size_gb = 1024
    models_size_gb  = null
    protected       = true
  }

  assert {
    condition     = google_filestore_instance.this[0].tier == "REGIONAL" && google_filestore_instance.this[0].deletion_protection_enabled && google_filestore_instance.this[0].location == "europe-west1" && length(data.google_compute_zones.this) == 0
    error_message = "a protected share must be regional and have deletion protection"
  }
}

run "size_below_minimum" {
  command = plan

  module {
    source = "../modules/storage/gcp"
  }

  variables {
    platform        = "kubernetes"
    storage_size_gb = 1023
  }

  expect_failures = [var.storage_size_gb]
}

run "log_bucket" {
  command = plan

  module {
    source = "../modules/observability/gcp"
  }

  # Terraform generates a new ID for each bucket.
  override_resource {
    target          = terraform_data.bucket
    values          = { id = "0a1b2c3d-0000-4000-8000-000000000000" }
    override_during = plan
  }

  assert {
    condition     = google_logging_project_bucket_config.this.bucket_id == "devai-dev-0a1b2c3d"
    error_message = "a stack that is created again within a week must have a new log bucket"
  }
}

run "secrets" {
  command = plan

  module {
    source = "../modules/secrets/gcp"
  }

  assert {
    condition     = google_secret_manager_secret_version.this["OPENAI_API_KEY"].secret_data_wo_version == 3
    error_message = "a higher version must write the value again"
  }

  assert {
    condition     = alltrue([for version in google_secret_manager_secret_version.this : version.secret_data == null])
    error_message = "the plan must not contain values"
  }

  assert {
    condition     = one(google_secret_manager_secret.this["JUPYTER_TOKEN"].replication[0].user_managed[0].replicas).location == "europe-west1"
    error_message = "secrets must stay in the region"
  }
}

run "secret_without_value" {
  command = plan

  module {
    source = "../modules/secrets/gcp"
  }

  variables {
    secret_values = { JUPYTER_TOKEN = "canary" }
  }

  assert {
    condition     = google_secret_manager_secret_version.this["OPENAI_API_KEY"].secret_data_wo_version == 3
    error_message = "a secret without a value must keep its version in the cloud"
  }
}

run "service_accounts_of_service" {
  command = plan

  module {
    source = "../modules/identity/gcp"
  }

  assert {
    condition     = google_secret_manager_secret_iam_member.this["JUPYTER_TOKEN"].role == "roles/secretmanager.secretAccessor"
    error_message = "the lab must be able to read its own secrets only"
  }

  assert {
    condition     = strcontains(google_project_iam_member.files[0].condition[0].expression, "projects/_/buckets/devaidev12345678")
    error_message = "the lab must have access to its own buckets only"
  }

  assert {
    condition     = keys(google_service_account.this)[0] == "lab" && length(google_project_iam_member.nodes) == 0
    error_message = "without nodes, there must be no service account for them"
  }

  assert {
    condition     = alltrue([for account in google_service_account.this : length(account.account_id) >= 6 && length(account.account_id) <= 30])
    error_message = "names must be within the limits"
  }
}

run "service_accounts_of_cluster" {
  command = plan

  module {
    source = "../modules/identity/gcp"
  }

  variables {
    platform = "kubernetes"
  }

  assert {
    condition     = google_artifact_registry_repository_iam_member.nodes[0].role == "roles/artifactregistry.reader" && google_artifact_registry_repository_iam_member.nodes[0].repository == "devai-dev"
    error_message = "nodes may only pull from the registry"
  }

  assert {
    condition     = !contains([for member in google_project_iam_member.nodes : member.role], "roles/editor") && length(google_project_iam_member.files) == 0
    error_message = "nodes must not have a broad role such as editor"
  }
}
