# Plans of the whole root module, without requests to Google Cloud.
mock_provider "google" {
  source          = "./tests/mocks"
  override_during = plan
}

mock_provider "tls" {}

variables {
  name                  = "devai-dev"
  unique                = "devaidev0123abcd"
  project_name          = "devai"
  project_id            = "abcdefghijkl"
  environment           = "dev"
  region                = "europe-west1"
  account               = "example-project"
  protected             = false
  labels                = { part-of = "devai" }
  compute_platform      = "simple"
  image                 = "europe-west1-docker.pkg.dev/example-project/devai-dev/devai-lab@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  port                  = 8888
  base_url              = "/"
  host_name             = "lab.example.com"
  dns_zone              = "example.com"
  certificate           = ""
  enable_https          = true
  allowed_cidrs         = ["192.0.2.0/24"]
  cpu                   = 2
  memory                = 4096
  storage_size_gb       = 1024
  min_replicas          = 1
  max_replicas          = 1
  enable_gpu            = false
  gpu_machine_type      = "g2-standard-8"
  namespace             = "devai-gcp-dev"
  environment_variables = { DEVAI_STACK = "gcp-dev" }
  secret_versions       = { JUPYTER_TOKEN = 1 }
  secret_values         = { JUPYTER_TOKEN = "canary" }
  ollama                = { image = "ollama/ollama:0.35.1", models = ["smollm2:135m"], keep_alive = "300s", storage_size_gb = 50, cpu = 2, memory = 8192 }
  ollama_url            = ""
}

run "simple" {
  command = plan

  assert {
    condition     = output.registry == "europe-west1-docker.pkg.dev/example-project/devai-dev"
    error_message = "the registry's address must not contain the image's name"
  }

  assert {
    condition     = length(module.compute) == 1 && length(module.kubernetes) == 0
    error_message = "simple must create a service and no cluster"
  }

  assert {
    condition     = output.url == "https://lab.example.com/" && length(output.dns_records) == 0
    error_message = "the lab's URL must have the host name, and no records must be left to create"
  }

  assert {
    condition     = output.cluster_name == null && output.kube_context == null
    error_message = "without a cluster, outputs must not name one"
  }

  assert {
    condition     = output.volumes.home == var.unique && output.volumes.models == "${var.unique}-models"
    error_message = "home and models must be on volumes"
  }
}

run "without_image" {
  command = plan

  variables {
    image = null
  }

  assert {
    condition     = length(module.compute) == 0 && output.registry != null
    error_message = "without an image, everything except the service must be created"
  }
}

run "kubernetes" {
  command = plan

  variables {
    compute_platform = "kubernetes"
  }

  assert {
    condition     = length(module.compute) == 0 && output.cluster_name == "devai-dev"
    error_message = "kubernetes must create a cluster and no service"
  }

  assert {
    condition     = output.kube_context == "gke_example-project_europe-west1_devai-dev"
    error_message = "the context must be the one that the cloud's command line creates"
  }

  assert {
    condition     = output.ingress.address_name == "devai-dev" && output.ingress.security_policy == "devai-dev" && output.ingress.source_cidrs == tolist(["35.191.0.0/16", "130.211.0.0/22"])
    error_message = "the output must name the address and the security policy for the ingress"
  }

  assert {
    condition     = output.volumes.models == null
    error_message = "models must be on a disk of the cluster"
  }
}

run "protected_kubernetes_with_gpus" {
  command = plan

  variables {
    compute_platform = "kubernetes"
    enable_gpu       = true
    protected        = true
    environment      = "prod"
    name             = "devai-prod"
  }

  assert {
    condition     = output.cluster_name == "devai-prod"
    error_message = "a protected stack with GPUs must be valid"
  }
}

run "record" {
  command = plan

  assert {
    condition     = terraform_data.stack.input == { name = "devai-dev", unique = "devaidev0123abcd", project = "devai", project_id = "abcdefghijkl", environment = "dev", account = var.account, region = var.region }
    error_message = "the state must record the stack's project, location and names"
  }
}

run "invalid_values" {
  command = plan

  variables {
    name             = "Devai"
    unique           = "devai-dev"
    account          = "My account"
    allowed_cidrs    = ["192.0.2.0"]
    port             = 80
    base_url         = "lab"
    compute_platform = "nomad"
    gpu_machine_type = "p3.2xlarge"
    image            = "devai-lab:latest"
    namespace        = "Devai"
    memory           = 100
    secret_versions  = { "jupyter-token" = 1 }
  }

  expect_failures = [
    var.name,
    var.unique,
    var.account,
    var.allowed_cidrs,
    var.port,
    var.base_url,
    var.compute_platform,
    var.gpu_machine_type,
    var.image,
    var.namespace,
    var.memory,
    var.secret_versions,
  ]
}
