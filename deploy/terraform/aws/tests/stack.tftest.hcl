# The whole root, as it is planned; nothing is asked of AWS.
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
    error_message = "the registry's address is the repository's without the image's name"
  }

  assert {
    condition     = length(module.compute) == 1 && length(module.kubernetes) == 0
    error_message = "simple is a service and no cluster"
  }

  assert {
    condition     = output.url == "https://lab.example.com/"
    error_message = "the lab is at its host name"
  }

  assert {
    condition     = output.cluster_name == null && output.kube_context == null
    error_message = "without a cluster nothing names one"
  }

  assert {
    condition     = length(output.dns_records) == 0
    error_message = "with a zone there is nothing for a person to make"
  }

  assert {
    condition     = output.file_system == "fs-1" && output.volumes.home == "fs-1::fsap-1" && output.volumes.models == "fs-1::fsap-1"
    error_message = "home and models are kept"
  }

  assert {
    condition     = aws_kms_key.this.enable_key_rotation && aws_kms_key.this.tags == tomap(var.labels)
    error_message = "the key is rotated, and has the stack's labels"
  }
}

run "nothing_pushed_yet" {
  command = plan

  variables {
    image = null
  }

  assert {
    condition     = length(module.compute) == 0 && output.registry != null
    error_message = "without an image there is everything but the service"
  }
}

run "kubernetes" {
  command = plan

  variables {
    compute_platform = "kubernetes"
  }

  assert {
    condition     = length(module.compute) == 0 && output.cluster_name == "devai-dev"
    error_message = "kubernetes is a cluster and no service"
  }

  assert {
    condition     = output.kube_context == "arn:aws:eks:eu-central-1:123456789012:cluster/devai-dev"
    error_message = "the context is what update-kubeconfig makes"
  }

  assert {
    condition     = contains(jsondecode(aws_kms_key.this.policy).Statement[1].Condition.ArnLike["kms:EncryptionContext:aws:logs:arn"], "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/eks/devai-dev/cluster")
    error_message = "the cluster's logs may be encrypted with the key"
  }

  assert {
    condition     = output.volumes.models == null
    error_message = "models are on a disk of the cluster"
  }

  assert {
    condition     = output.ingress.source_cidrs == tolist(["10.42.240.0/24", "10.42.241.0/24", "10.42.242.0/24"])
    error_message = "the load balancer is in the public subnets"
  }
}

run "kubernetes_with_gpus_and_protected" {
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
    error_message = "a protected stack has time to think again"
  }
}

run "record" {
  command = plan

  assert {
    condition     = terraform_data.stack.input == { name = "devai-dev", unique = "devaidev0123abcd", project = "devai", project_id = "abcdefghijkl", environment = "dev", account = var.account, region = var.region }
    error_message = "the state says whose stack it is of, where that is and what it is called"
  }
}

run "refused" {
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
