# Cloud Run.
mock_provider "google" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  name                  = "devai-dev"
  account               = "example-project"
  region                = "europe-west1"
  labels                = { part-of = "devai" }
  port                  = 8888
  base_url              = "/lab/"
  image                 = "registry.example.com/devai-lab@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  cpu                   = 2
  memory                = 4096
  min_replicas          = 1
  max_replicas          = 4
  enable_gpu            = false
  environment_variables = { DEVAI_STACK = "dev" }
  ollama                = { image = "ollama/ollama:0.35.1", models = ["smollm2:135m"], keep_alive = "300s", cpu = 2, memory = 8192 }
  ollama_url            = ""
  gpu_machine_type      = "g2-standard-8"
  secrets               = { JUPYTER_TOKEN = "projects/example-project/secrets/devai-dev-JUPYTER_TOKEN" }
  secret_versions       = { JUPYTER_TOKEN = "2" }
  lab_identity_email    = "lab@example-project.iam.gserviceaccount.com"
  volumes               = { home = "devaidev12345678", models = "devaidev12345678-models" }
}

run "service" {
  command = plan

  module {
    source = "../modules/compute/gcp"
  }

  assert {
    condition     = google_cloud_run_v2_service.this.ingress == "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"
    error_message = "only the load balancer may connect to the service; otherwise the allowed networks could be bypassed"
  }

  assert {
    condition     = length(google_cloud_run_v2_service.this.template[0].containers[1].ports) == 0 && google_cloud_run_v2_service.this.template[0].containers[0].ports[0].container_port == 8888
    error_message = "Ollama must not publish a port"
  }

  assert {
    condition     = one([for env in google_cloud_run_v2_service.this.template[0].containers[1].env : env.value if env.name == "OLLAMA_HOST"]) == "127.0.0.1:11434"
    error_message = "Ollama must listen on the instance's loopback address"
  }

  assert {
    condition     = one([for env in google_cloud_run_v2_service.this.template[0].containers[0].env : env.value_source[0].secret_key_ref[0].secret if env.name == "JUPYTER_TOKEN"]) == "projects/example-project/secrets/devai-dev-JUPYTER_TOKEN"
    error_message = "the token must come from Secret Manager"
  }

  assert {
    condition     = one([for env in google_cloud_run_v2_service.this.template[0].containers[0].env : env.value_source[0].secret_key_ref[0].version if env.name == "JUPYTER_TOKEN"]) == "2"
    error_message = "the token's version must be the latest one"
  }

  assert {
    condition     = google_cloud_run_v2_service.this.template[0].session_affinity && google_cloud_run_v2_service.this.template[0].timeout == "3600s"
    error_message = "a cookie must keep a browser on the same instance, and the timeout must be Cloud Run's maximum"
  }

  assert {
    condition     = google_cloud_run_v2_service.this.template[0].scaling[0].min_instance_count == 1 && google_cloud_run_v2_service.this.template[0].scaling[0].max_instance_count == 4
    error_message = "the number of replicas must be the configured one"
  }

  assert {
    condition     = alltrue([for container in google_cloud_run_v2_service.this.template[0].containers : container.resources[0].cpu_idle == false])
    error_message = "the CPU must be allocated between requests, so that kernels continue to run"
  }

  assert {
    condition     = google_cloud_run_v2_service.this.template[0].containers[0].resources[0].limits == tomap({ cpu = "2", memory = "4096Mi" })
    error_message = "sizes must be the configured ones"
  }

  assert {
    condition     = { for volume in google_cloud_run_v2_service.this.template[0].volumes : volume.name => volume.gcs[0].bucket } == { home = "devaidev12345678", models = "devaidev12345678-models" }
    error_message = "home and models must be on volumes"
  }

  assert {
    condition     = alltrue([for probe in [one(google_cloud_run_v2_service.this.template[0].containers[0].startup_probe), one(google_cloud_run_v2_service.this.template[0].containers[0].liveness_probe)] : probe.timeout_seconds >= 5 && probe.timeout_seconds <= probe.period_seconds])
    error_message = "probes must allow a busy lab at least 5 seconds to answer"
  }

  assert {
    condition     = length(google_cloud_run_v2_service.this.template[0].vpc_access) == 0
    error_message = "the service must not reserve addresses of the subnet, which would block the subnet's deletion for hours"
  }

  assert {
    condition     = length(google_cloud_run_v2_service.this.template[0].node_selector) == 0
    error_message = "without GPUs in the configuration, none must be created"
  }

  assert {
    condition     = google_cloud_run_v2_service.this.deletion_protection == false
    error_message = "the service must be deletable even if the stack is protected"
  }
}

run "service_with_gpus" {
  command = plan

  module {
    source = "../modules/compute/gcp"
  }

  variables {
    enable_gpu = true
    ollama     = { image = "ollama/ollama:0.35.1", models = ["smollm2:135m"], keep_alive = "300s", cpu = 4, memory = 16384 }
  }

  assert {
    condition     = google_cloud_run_v2_service.this.template[0].node_selector[0].accelerator == "nvidia-l4"
    error_message = "with GPUs, the service must have an L4"
  }

  assert {
    condition     = google_cloud_run_v2_service.this.template[0].containers[1].resources[0].limits["nvidia.com/gpu"] == "1" && !contains(keys(google_cloud_run_v2_service.this.template[0].containers[0].resources[0].limits), "nvidia.com/gpu")
    error_message = "the model server must have the GPU, and the lab none"
  }
}

run "size_below_minimum_with_gpu" {
  command = plan

  module {
    source = "../modules/compute/gcp"
  }

  variables {
    enable_gpu = true
  }

  expect_failures = [google_cloud_run_v2_service.this]
}

run "quantities" {
  command = plan

  module {
    source = "../modules/compute/gcp"
  }

  variables {
    cpu    = 1
    memory = 1536
  }

  assert {
    condition     = google_cloud_run_v2_service.this.template[0].containers[0].resources[0].limits == tomap({ cpu = "1", memory = "1536Mi" })
    error_message = "sizes must be Kubernetes quantities"
  }
}

run "size_above_maximum" {
  command = plan

  module {
    source = "../modules/compute/gcp"
  }

  variables {
    cpu    = 8
    memory = 32768
  }

  expect_failures = [google_cloud_run_v2_service.this]
}

run "fractional_cpu" {
  command = plan

  module {
    source = "../modules/compute/gcp"
  }

  variables {
    cpu    = 0.5
    memory = 1536
  }

  expect_failures = [google_cloud_run_v2_service.this]
}

run "unsupported_cpu" {
  command = plan

  module {
    source = "../modules/compute/gcp"
  }

  variables {
    cpu = 3
  }

  expect_failures = [google_cloud_run_v2_service.this]
}
