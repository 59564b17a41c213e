# Cloud Run behind its load balancer.
mock_provider "google" {
  source          = "./tests/mocks"
  override_during = plan
}

mock_provider "tls" {}

variables {
  name        = "devai-dev"
  unique_name = "devaidev12345678"
  account     = "example-project"
  region      = "europe-west1"
  protected   = false
  labels      = { part-of = "devai" }
  stack = {
    name      = "devai-dev"
    unique    = "devaidev12345678"
    account   = "example-project"
    region    = "europe-west1"
    logs      = "projects/example-project/locations/europe-west1/buckets/devai-dev"
    protected = false
    labels    = { part-of = "devai" }
  }
  network = {
    id           = "projects/example-project/global/networks/devai-dev"
    subnets      = { workload = ["projects/example-project/regions/europe-west1/subnetworks/devai-dev"], gateway = [], endpoints = [] }
    firewalls    = { gateway = "devai-dev", workload = "devai-dev-workload", storage = "devai-dev-workload" }
    source_cidrs = ["35.191.0.0/16", "130.211.0.0/22"]
    egress_cidrs = ["203.0.113.9/32"]
    port         = 8888
  }
  platform              = "simple"
  port                  = 8888
  base_url              = "/lab/"
  host_name             = "lab.example.com"
  dns_zone              = "example.com"
  enable_https          = true
  image                 = "registry.example.com/devai-lab@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  cpu                   = 2
  memory                = 4096
  min_replicas          = 1
  max_replicas          = 4
  enable_gpu            = false
  environment_variables = { DEVAI_STACK = "dev" }
  ollama                = { image = "ollama/ollama:0.35.1", models = ["smollm2:135m"], keep_alive = "300s", storage_size_gb = 50, cpu = 2, memory = 8192 }
  ollama_url            = ""
  certificate           = ""
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
}

run "protected_service" {
  command = plan

  module {
    source = "../modules/compute/gcp"
  }

  variables {
    name = "devai-prod"
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
    ollama     = { image = "ollama/ollama:0.35.1", models = ["smollm2:135m"], keep_alive = "300s", storage_size_gb = 50, cpu = 4, memory = 16384 }
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

run "load_balancer" {
  command = plan

  module {
    source = "../modules/ingress/gcp"
  }

  assert {
    condition     = google_compute_url_map.redirect[0].default_url_redirect[0].https_redirect && google_compute_global_forwarding_rule.this["80"].port_range == "80"
    error_message = "HTTP is sent on to HTTPS"
  }

  assert {
    condition     = google_compute_ssl_policy.this.min_tls_version == "TLS_1_2"
    error_message = "TLS 1.2 or newer"
  }

  assert {
    condition     = google_compute_backend_service.this[0].security_policy == "devai-dev"
    error_message = "Cloud Armor holds the allowed networks"
  }

  assert {
    condition     = google_compute_region_network_endpoint_group.this[0].cloud_run[0].service == var.name
    error_message = "the service is found by its name"
  }

  assert {
    condition     = google_certificate_manager_certificate.this[0].managed[0].domains == tolist(["lab.example.com"]) && google_compute_target_https_proxy.this[0].ssl_certificates == null
    error_message = "with a host name the certificate is a real one"
  }

  assert {
    condition     = google_compute_target_https_proxy.this[0].name == "devai-dev-managed"
    error_message = "a proxy with a map is another one than that with certificates, which can't become it"
  }

  assert {
    condition     = length(google_dns_record_set.this) == 2 && length(output.dns_records) == 0
    error_message = "its proof and the address are in the zone"
  }

  assert {
    condition     = output.url == "https://lab.example.com/lab/"
    error_message = "the lab is at its host name"
  }
}

run "without_https" {
  command = plan

  module {
    source = "../modules/ingress/gcp"
  }

  variables {
    enable_https = false
  }

  assert {
    condition     = length(google_compute_target_https_proxy.this) == 0 && keys(google_compute_global_forwarding_rule.this)[0] == "80" && output.certificate == null
    error_message = "HTTP only, where HTTPS isn't wanted"
  }
}

run "without_a_zone" {
  command = plan

  module {
    source = "../modules/ingress/gcp"
  }

  variables {
    dns_zone = ""
  }

  assert {
    condition     = toset(output.dns_records[*].name) == toset(["lab.example.com", "_acme-challenge.lab.example.com."]) && length(google_dns_record_set.this) == 0
    error_message = "the records to make are named"
  }
}

run "without_a_host_name" {
  command = plan

  module {
    source = "../modules/ingress/gcp"
  }

  variables {
    host_name = ""
    dns_zone  = ""
  }

  assert {
    condition     = length(google_compute_ssl_certificate.this) == 1 && output.url == "https://203.0.113.7/lab/"
    error_message = "a first look is by a self-signed certificate"
  }

  assert {
    condition     = google_compute_target_https_proxy.this[0].name == "devai-dev"
    error_message = "a host name, whose certificate is in a map, means another proxy"
  }

  expect_failures = [check.trusted_certificate]
}

run "protected_without_a_host_name" {
  command = plan

  module {
    source = "../modules/ingress/gcp"
  }

  variables {
    host_name = ""
    dns_zone  = ""
    stack     = merge(var.stack, { name = "devai-prod", unique = "devaiprod12345678", protected = true })
  }

  expect_failures = [tls_self_signed_cert.this, check.trusted_certificate]
}

run "a_certificate_that_exists" {
  command = plan

  module {
    source = "../modules/ingress/gcp"
  }

  variables {
    certificate = "mine"
  }

  assert {
    condition     = google_compute_target_https_proxy.this[0].ssl_certificates == tolist(["projects/example-project/global/sslCertificates/mine"]) && length(google_certificate_manager_certificate.this) == 0
    error_message = "it is used, and none is made"
  }
}
