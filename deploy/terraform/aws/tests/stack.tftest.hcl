# Plans of the whole root module, without requests to AWS.
mock_provider "aws" {
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
  region                = "eu-central-1"
  account               = "123456789012"
  protected             = false
  labels                = { "app.kubernetes.io/part-of" = "devai" }
  compute_platform      = "simple"
  image                 = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/devai-dev/devai-lab@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  port                  = 8888
  base_url              = "/"
  host_name             = "lab.example.com"
  dns_zone              = "example.com"
  certificate           = ""
  enable_https          = true
  allowed_cidrs         = ["192.0.2.0/24"]
  cpu                   = 2
  memory                = 4096
  storage_size_gb       = 50
  min_replicas          = 1
  max_replicas          = 2
  enable_gpu            = false
  gpu_machine_type      = "g6.2xlarge"
  namespace             = "devai-aws-dev"
  environment_variables = { DEVAI_STACK = "aws-dev" }
  secret_versions       = { JUPYTER_TOKEN = 1 }
  secret_values         = { JUPYTER_TOKEN = "canary" }
  ollama                = { image = "ollama/ollama:0.35.1", models = ["smollm2:135m"], keep_alive = "300s", storage_size_gb = 50, cpu = 2, memory = 8192 }
  ollama_url            = ""
}

run "simple" {
  command = plan

  assert {
    condition     = output.registry == "123456789012.dkr.ecr.eu-central-1.amazonaws.com/devai-dev"
    error_message = "the registry's address must not contain the image's name"
  }

  assert {
    condition     = length(module.compute) == 1 && length(module.kubernetes) == 0
    error_message = "simple must create a service and no cluster"
  }

  assert {
    condition     = output.url == "https://lab.example.com/"
    error_message = "the lab's URL must have the host name"
  }

  assert {
    condition     = output.cluster_name == null && output.kube_context == null
    error_message = "without a cluster, outputs must not name one"
  }

  assert {
    condition     = length(output.dns_records) == 0
    error_message = "with a zone, no records must be left to create"
  }

  assert {
    condition     = output.file_system == "fs-1" && output.volumes.home == "fs-1::fsap-1" && output.volumes.models == "fs-1::fsap-1"
    error_message = "home and models must be on volumes"
  }

  assert {
    condition     = aws_kms_key.this.enable_key_rotation && aws_kms_key.this.tags == tomap(var.labels)
    error_message = "the key must be rotated and have the stack's labels"
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
    condition     = output.kube_context == "arn:aws:eks:eu-central-1:123456789012:cluster/devai-dev"
    error_message = "the context must be the one that `aws eks update-kubeconfig` creates"
  }

  assert {
    condition     = contains(jsondecode(aws_kms_key.this.policy).Statement[1].Condition.ArnLike["kms:EncryptionContext:aws:logs:arn"], "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/eks/devai-dev/cluster")
    error_message = "the key's policy must allow the encryption of the cluster's logs"
  }

  assert {
    condition     = output.volumes.models == null
    error_message = "models must be on a disk of the cluster"
  }

  assert {
    condition     = output.ingress.source_cidrs == tolist(["10.42.240.0/24", "10.42.241.0/24", "10.42.242.0/24"])
    error_message = "the load balancer must be in the public subnets"
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
    condition     = output.cluster_name == "devai-prod" && aws_kms_key.this.deletion_window_in_days == 30
    error_message = "a protected stack's key must have the longest deletion window"
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
    account          = "my-account"
    allowed_cidrs    = ["192.0.2.0"]
    port             = 80
    base_url         = "lab"
    compute_platform = "nomad"
    gpu_machine_type = "p3.2xlarge"
    image            = "devai-lab:latest"
    namespace        = "Devai"
    memory           = 100
    storage_size_gb  = 0
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
    var.storage_size_gb,
    var.secret_versions,
  ]
}
