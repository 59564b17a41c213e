# A lab on Cloud Run or GKE, with all its dependencies on Google Cloud.
provider "google" {
  project = var.account
  region  = var.region
}

locals {
  # The project with its log bucket, so that everything is created after the bucket and the services. `depends_on` would
  # do the same, but postpone the modules' data sources until apply.
  project = { id = var.account, log_bucket = module.observability.log_bucket_id }
  simple  = var.compute_platform == "simple"
  services = [
    "artifactregistry", "certificatemanager", "compute", "container", "dns", "file", "iam", "logging", "monitoring", "run",
    "secretmanager",
  ]
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

# APIs that the stack needs in addition to those that `inv tf.bootstrap` enables before the first plan. Destroying the
# stack leaves them enabled, because other stacks may use them.
resource "google_project_service" "this" {
  for_each = toset(local.services)

  project            = var.account
  service            = "${each.key}.googleapis.com"
  disable_on_destroy = false
}

module "observability" {
  source = "../modules/observability/gcp"

  name      = var.name
  account   = var.account
  region    = var.region
  protected = var.protected

  depends_on = [google_project_service.this]
}

module "registry" {
  source = "../modules/container-registry/gcp"

  name       = var.name
  account    = local.project.id
  region     = var.region
  repository = "${var.project_name}-lab"
  labels     = var.labels
}

module "networking" {
  source = "../modules/networking/gcp"

  name          = var.name
  account       = var.account
  region        = var.region
  platform      = var.compute_platform
  allowed_cidrs = var.allowed_cidrs
  port          = var.port

  depends_on = [google_project_service.this]
}

module "storage" {
  source = "../modules/storage/gcp"

  name            = var.name
  unique_name     = var.unique
  account         = local.project.id
  region          = var.region
  platform        = var.compute_platform
  network_id      = module.networking.network.id
  storage_size_gb = var.storage_size_gb
  # On Kubernetes, models are on a disk of the cluster.
  models_size_gb = local.simple ? try(var.ollama.storage_size_gb, null) : null
  protected      = var.protected
  labels         = var.labels
}

module "secrets" {
  source = "../modules/secrets/gcp"

  name            = var.name
  account         = local.project.id
  region          = var.region
  secret_versions = var.secret_versions
  secret_values   = var.secret_values
  labels          = var.labels
}

module "identity" {
  source = "../modules/identity/gcp"

  name        = var.name
  account     = local.project.id
  platform    = var.compute_platform
  registry_id = module.registry.id
  file_system = module.storage.file_system
  secrets     = module.secrets.secrets
}

module "ingress" {
  source = "../modules/ingress/gcp"

  name            = var.name
  account         = local.project.id
  region          = var.region
  platform        = var.compute_platform
  security_policy = module.networking.network.security_policy
  base_url        = var.base_url
  host_name       = var.host_name
  dns_zone        = var.dns_zone
  certificate     = var.certificate
  enable_https    = var.enable_https
  protected       = var.protected
  labels          = var.labels
}

module "compute" {
  source = "../modules/compute/gcp"
  count  = local.simple && var.image != null ? 1 : 0

  name                  = var.name
  account               = local.project.id
  region                = var.region
  lab_identity_email    = module.identity.identity.lab.email
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
  labels                = var.labels
}

module "kubernetes" {
  source = "../modules/kubernetes/gcp"
  count  = local.simple ? 0 : 1

  name                = var.name
  account             = local.project.id
  region              = var.region
  network_id          = module.networking.network.id
  subnet_id           = module.networking.network.subnet_id
  network_tag         = module.networking.network.network_tag
  allowed_cidrs       = var.allowed_cidrs
  lab_identity_id     = module.identity.identity.lab.id
  node_identity_email = module.identity.identity.execution.email
  cpu                 = var.cpu
  memory              = var.memory
  max_replicas        = var.max_replicas
  enable_gpu          = var.enable_gpu
  gpu_machine_type    = var.gpu_machine_type
  ollama              = var.ollama
  protected           = var.protected
  labels              = var.labels
  # The service account is named in deploy/kubernetes/base.
  service_account = { namespace = var.namespace, name = "devai" }
}
