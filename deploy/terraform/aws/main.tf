# A lab on ECS or EKS, with all its dependencies on AWS.
provider "aws" {
  region              = var.region
  allowed_account_ids = [var.account]
}

locals {
  simple = var.compute_platform == "simple"
}

# The stack's identity, location and names. The record is read before each plan and kept as long as the home.
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

  name        = var.name
  kms_key_arn = aws_kms_key.this.arn
  labels      = var.labels
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

  name          = var.name
  account       = var.account
  region        = var.region
  platform      = var.compute_platform
  allowed_cidrs = var.allowed_cidrs
  port          = var.port
  log_group_arn = module.observability.log_group_arn
  protected     = var.protected
  labels        = var.labels
}

module "storage" {
  source = "../modules/storage/aws"

  name              = var.name
  account           = var.account
  platform          = var.compute_platform
  subnet_ids        = module.networking.network.private_subnet_ids
  security_group_id = module.networking.network.storage_security_group_id
  storage_size_gb   = var.storage_size_gb
  # On Kubernetes, models are on a disk of the cluster.
  models_size_gb = local.simple ? try(var.ollama.storage_size_gb, null) : null
  kms_key_arn    = aws_kms_key.this.arn
  labels         = var.labels

  # `inv tf.destroy` keeps the home and its dependencies; this dependency keeps the logs as well.
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
  log_group_arn = module.observability.log_group_arn
  labels        = var.labels
}

module "ingress" {
  source = "../modules/ingress/aws"

  name              = var.name
  unique_name       = var.unique
  account           = var.account
  platform          = var.compute_platform
  network_id        = module.networking.network.id
  subnet_ids        = module.networking.network.public_subnet_ids
  security_group_id = module.networking.network.gateway_security_group_id
  port              = var.port
  base_url          = var.base_url
  host_name         = var.host_name
  dns_zone          = var.dns_zone
  certificate       = var.certificate
  enable_https      = var.enable_https
  protected         = var.protected
  labels            = var.labels
}

module "compute" {
  source = "../modules/compute/aws"
  count  = local.simple && var.image != null ? 1 : 0

  name                  = var.name
  region                = var.region
  subnet_ids            = module.networking.network.private_subnet_ids
  security_group_id     = module.networking.network.workload_security_group_id
  target_group_arn      = module.ingress.target_group_arn
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
  log_group_arn         = module.observability.log_group_arn
  labels                = var.labels
}

module "kubernetes" {
  source = "../modules/kubernetes/aws"
  count  = local.simple ? 0 : 1

  name                      = var.name
  subnet_ids                = module.networking.network.private_subnet_ids
  gateway_security_group_id = module.networking.network.gateway_security_group_id
  storage_security_group_id = module.networking.network.storage_security_group_id
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
