# Cloud Run behind its load balancer.
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
    error_message = "the service is reached by the load balancer only, so the allowed networks hold"
  }

  assert {
    condition     = length(google_cloud_run_v2_service.this.template[0].containers[1].ports) == 0 && google_cloud_run_v2_service.this.template[0].containers[0].ports[0].container_port == 8888
    error_message = "Ollama publishes no port"
  }

  assert {
    condition     = one([for env in google_cloud_run_v2_service.this.template[0].containers[1].env : env.value if env.name == "OLLAMA_HOST"]) == "127.0.0.1:11434"
    error_message = "Ollama listens on the instance's own loopback"
  }

  assert {
    condition     = one([for env in google_cloud_run_v2_service.this.template[0].containers[0].env : env.value_source[0].secret_key_ref[0].secret if env.name == "JUPYTER_TOKEN"]) == "projects/example-project/secrets/devai-dev-JUPYTER_TOKEN"
    error_message = "the token comes from the secret manager"
  }

  assert {
    condition     = one([for env in google_cloud_run_v2_service.this.template[0].containers[0].env : env.value_source[0].secret_key_ref[0].version if env.name == "JUPYTER_TOKEN"]) == "2"
    error_message = "in the version that was written last"
  }

  assert {
    condition     = google_cloud_run_v2_service.this.template[0].session_affinity && google_cloud_run_v2_service.this.template[0].timeout == "3600s"
    error_message = "a person stays with one instance, for as long as Cloud Run allows"
  }

  assert {
    condition     = google_cloud_run_v2_service.this.template[0].scaling[0].min_instance_count == 1 && google_cloud_run_v2_service.this.template[0].scaling[0].max_instance_count == 4
    error_message = "replicas are the configuration's"
  }

  assert {
    condition     = alltrue([for container in google_cloud_run_v2_service.this.template[0].containers : container.resources[0].cpu_idle == false])
    error_message = "kernels work between requests"
  }

  assert {
    condition     = google_cloud_run_v2_service.this.template[0].containers[0].resources[0].limits == tomap({ cpu = "2", memory = "4096Mi" })
    error_message = "sizes are the configuration's"
  }

  assert {
    condition     = { for volume in google_cloud_run_v2_service.this.template[0].volumes : volume.name => volume.gcs[0].bucket } == { home = "devaidev12345678", models = "devaidev12345678-models" }
    error_message = "home and models are kept"
  }

  assert {
    condition     = alltrue([for probe in [one(google_cloud_run_v2_service.this.template[0].containers[0].startup_probe), one(google_cloud_run_v2_service.this.template[0].containers[0].liveness_probe)] : probe.timeout_seconds >= 5 && probe.timeout_seconds <= probe.period_seconds])
    error_message = "a busy lab may take its time to answer"
  }

  assert {
    condition     = length(google_cloud_run_v2_service.this.template[0].vpc_access) == 0
    error_message = "the service keeps no addresses of the subnet, which could not be destroyed for hours after it"
  }

  assert {
    condition     = length(google_cloud_run_v2_service.this.template[0].node_selector) == 0
    error_message = "no GPU that nobody asked for"
  }

  assert {
    condition     = google_cloud_run_v2_service.this.deletion_protection == false
    error_message = "a protected stack can be stopped, too"
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
    error_message = "Cloud Run has an L4"
  }

  assert {
    condition     = google_cloud_run_v2_service.this.template[0].containers[1].resources[0].limits["nvidia.com/gpu"] == "1" && !contains(keys(google_cloud_run_v2_service.this.template[0].containers[0].resources[0].limits), "nvidia.com/gpu")
    error_message = "the model server has it, and the lab has none"
  }
}

run "too_little_for_a_gpu" {
  command = plan

  module {
    source = "../modules/compute/gcp"
  }

  variables {
    enable_gpu = true
  }

  expect_failures = [google_cloud_run_v2_service.this]
}

run "the_least_quantities" {
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
    error_message = "quantities are those of Kubernetes"
  }
}

run "more_than_an_instance_has" {
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

run "less_than_a_core" {
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

run "a_pair_that_cloud_run_lacks" {
  command = plan

  module {
    source = "../modules/compute/gcp"
  }

  variables {
    cpu = 3
  }

  expect_failures = [google_cloud_run_v2_service.this]
}
