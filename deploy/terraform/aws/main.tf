# A lab on AWS: ECS or EKS, with everything that it needs.
provider "aws" {
  region              = var.region
  allowed_account_ids = [var.account]
}

locals {
  base = {
    name      = var.name
    unique    = var.unique
    account   = var.account
    region    = var.region
    vault     = aws_kms_key.this.arn
    protected = var.protected
    labels    = var.labels
  }
  stack  = merge(local.base, { logs = module.observability.logs })
  simple = var.compute_platform == "simple"
}

# Whose stack this is, where it is and what it is called: read before anything is planned, and kept as long as the home.
resource "terraform_data" "stack" {
  input = {
    name        = var.name
    unique      = var.unique
    project     = var.project_name
    project_id  = var.project_id
    environment = var.environment
    account     = var.account
    region      = var.region
  }
}

# One key for images, files, secrets and logs.
resource "aws_kms_key" "this" {
  description             = "Lab ${var.name}"
  enable_key_rotation     = true
  deletion_window_in_days = var.protected ? 30 : 7
  tags                    = var.labels

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "Account"
        Effect    = "Allow"
        Principal = { AWS = "arn:aws:iam::${var.account}:root" }
        Action    = "kms:*"
        Resource  = "*"
      },
      {
        Sid       = "Logs"
        Effect    = "Allow"
        Principal = { Service = "logs.${var.region}.amazonaws.com" }
        Action    = ["kms:Encrypt*", "kms:Decrypt*", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"]
        Resource  = "*"
        Condition = { ArnLike = { "kms:EncryptionContext:aws:logs:arn" = [
          for group in ["/devai/${var.name}", "/aws/eks/${var.name}/cluster"] : "arn:aws:logs:${var.region}:${var.account}:log-group:${group}"
        ] } }
      },
    ]
  })
}

resource "aws_kms_alias" "this" {
  name          = "alias/${var.name}"
  target_key_id = aws_kms_key.this.key_id
}

module "observability" {
  source = "../modules/observability/aws"

  stack = local.base
}

module "registry" {
  source = "../modules/container-registry/aws"

  name        = var.name
  repository  = "${var.project_name}-lab"
  kms_key_arn = aws_kms_key.this.arn
  protected   = var.protected
  labels      = var.labels
}

module "networking" {
  source = "../modules/networking/aws"

  stack         = local.stack
  platform      = var.compute_platform
  allowed_cidrs = var.allowed_cidrs
  port          = var.port
}

module "storage" {
  source = "../modules/storage/aws"

  name              = var.name
  account           = var.account
  platform          = var.compute_platform
  subnet_ids        = module.networking.network.subnets.endpoints
  security_group_id = module.networking.network.firewalls.storage
  storage_size_gb   = var.storage_size_gb
  # On kubernetes models are on a disk of the cluster.
  models_size_gb = local.simple ? try(var.ollama.storage_size_gb, null) : null
  kms_key_arn    = aws_kms_key.this.arn
  labels         = var.labels

  # `inv tf.destroy` keeps the home and what it depends on: the logs stay with it.
  depends_on = [module.observability]
}

module "secrets" {
  source = "../modules/secrets/aws"

  name            = var.name
  secret_versions = var.secret_versions
  secret_values   = var.secret_values
  kms_key_arn     = aws_kms_key.this.arn
  protected       = var.protected
  labels          = var.labels
}

module "identity" {
  source = "../modules/identity/aws"

  name          = var.name
  account       = var.account
  region        = var.region
  platform      = var.compute_platform
  registry_id   = module.registry.id
  file_system   = module.storage.file_system
  secrets       = module.secrets.secrets
  kms_key_arn   = aws_kms_key.this.arn
  log_group_arn = module.observability.logs
  labels        = var.labels
}

module "ingress" {
  source = "../modules/ingress/aws"

  stack        = local.stack
  platform     = var.compute_platform
  network      = module.networking.network
  base_url     = var.base_url
  host_name    = var.host_name
  dns_zone     = var.dns_zone
  certificate  = var.certificate
  enable_https = var.enable_https
}

module "compute" {
  source = "../modules/compute/aws"
  count  = local.simple && var.image != null ? 1 : 0

  name                  = var.name
  region                = var.region
  subnet_ids            = module.networking.network.subnets.workload
  security_group_id     = module.networking.network.firewalls.workload
  target_group_arn      = module.ingress.backend
  lab_identity_id       = module.identity.identity.lab.id
  execution_identity_id = module.identity.identity.execution.id
  file_system           = module.storage.file_system
  volumes               = module.storage.volumes
  image                 = var.image
  port                  = var.port
  base_url              = var.base_url
  cpu                   = var.cpu
  memory                = var.memory
  min_replicas          = var.min_replicas
  max_replicas          = var.max_replicas
  enable_gpu            = var.enable_gpu
  gpu_machine_type      = var.gpu_machine_type
  environment_variables = var.environment_variables
  secrets               = module.secrets.secrets
  secret_versions       = module.secrets.versions
  ollama                = var.ollama
  ollama_url            = var.ollama_url
  log_group_arn         = module.observability.logs
  labels                = var.labels
}

module "kubernetes" {
  source = "../modules/kubernetes/aws"
  count  = local.simple ? 0 : 1

  name                      = var.name
  subnet_ids                = module.networking.network.subnets.workload
  gateway_security_group_id = module.networking.network.firewalls.gateway
  storage_security_group_id = module.networking.network.firewalls.storage
  port                      = var.port
  allowed_cidrs             = var.allowed_cidrs
  lab_identity_id           = module.identity.identity.lab.id
  node_identity_id          = module.identity.identity.execution.id
  cpu                       = var.cpu
  memory                    = var.memory
  enable_gpu                = var.enable_gpu
  gpu_machine_type          = var.gpu_machine_type
  ollama                    = var.ollama
  kms_key_arn               = aws_kms_key.this.arn
  protected                 = var.protected
  labels                    = var.labels
  # The service account is named in deploy/kubernetes/base.
  service_account = { namespace = var.namespace, name = "devai" }
}
