# A lab on Azure: Container Instances or AKS, with everything that it needs.
provider "azurerm" {
  subscription_id     = var.account
  storage_use_azuread = true

  # A subscription has only the services that somebody registered it for: the provider does that for those in use here.
  resource_providers_to_register = [
    "Microsoft.Compute", "Microsoft.ContainerInstance", "Microsoft.ContainerRegistry", "Microsoft.ContainerService",
    "microsoft.insights", "Microsoft.KeyVault", "Microsoft.ManagedIdentity", "Microsoft.Network",
    "Microsoft.OperationalInsights", "Microsoft.OperationsManagement", "Microsoft.PolicyInsights",
    "Microsoft.RecoveryServices", "Microsoft.Storage",
  ]

  features {
    # The account's own address is private: all that Terraform does with it goes by Azure's control plane.
    storage {
      data_plane_available = false
    }

    key_vault {
      # A vault's name stays taken for as long as what was deleted is kept.
      purge_soft_delete_on_destroy    = !var.protected
      recover_soft_deleted_key_vaults = true
    }
  }
}

locals {
  base = {
    name      = var.name
    unique    = var.unique
    account   = var.account
    region    = var.region
    group     = azurerm_resource_group.this.name
    protected = var.protected
    labels    = var.labels
  }
  stack = merge(local.base, {
    logs  = module.observability.logs
    vault = local.key_vault_id
  })
  # By way of the role assignments: nobody writes into the vault before they exist.
  key_vault_id = azurerm_role_assignment.operator["Key Vault Secrets Officer"].scope
  simple       = var.compute_platform == "simple"
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

resource "azurerm_resource_group" "this" {
  name     = var.name
  location = var.region
  tags     = var.labels
}

data "azurerm_client_config" "this" {}

# Secrets and certificates: open to the lab's networks and to the allowed ones, from one of which Terraform runs.
resource "azurerm_key_vault" "this" {
  #checkov:skip=CKV2_AZURE_32:the lab reaches it by the service endpoints of its subnets
  name                          = var.unique
  resource_group_name           = azurerm_resource_group.this.name
  location                      = var.region
  tenant_id                     = data.azurerm_client_config.this.tenant_id
  sku_name                      = "standard"
  rbac_authorization_enabled    = true
  purge_protection_enabled      = var.protected
  soft_delete_retention_days    = var.protected ? 90 : 7
  public_network_access_enabled = true
  tags                          = var.labels

  network_acls {
    default_action             = "Deny"
    bypass                     = "AzureServices"
    ip_rules                   = var.allowed_cidrs
    virtual_network_subnet_ids = concat(module.networking.network.subnets.workload, module.networking.network.subnets.gateway)
  }

  # Azure lets nobody lower these: one that was deleted while protected comes back with them.
  lifecycle {
    ignore_changes = [purge_protection_enabled, soft_delete_retention_days]
  }
}

# Who applies first writes secrets and makes certificates, and keeps these roles when another one plans: others are given
# theirs by hand.
resource "azurerm_role_assignment" "operator" {
  for_each = toset(["Key Vault Secrets Officer", "Key Vault Certificates Officer"])

  scope                = azurerm_key_vault.this.id
  role_definition_name = each.key
  principal_id         = data.azurerm_client_config.this.object_id

  lifecycle {
    ignore_changes = [principal_id]
  }
}

module "observability" {
  source = "../modules/observability/azure"

  stack = local.base
}

module "registry" {
  source = "../modules/container-registry/azure"

  unique_name         = var.unique
  resource_group_name = azurerm_resource_group.this.name
  region              = var.region
  repository          = "${var.project_name}-lab"
  protected           = var.protected
  labels              = var.labels
}

module "networking" {
  source = "../modules/networking/azure"

  stack         = local.base
  platform      = var.compute_platform
  allowed_cidrs = var.allowed_cidrs
  port          = var.port
}

module "storage" {
  source = "../modules/storage/azure"

  name                = var.name
  unique_name         = var.unique
  resource_group_name = azurerm_resource_group.this.name
  region              = var.region
  platform            = var.compute_platform
  network_id          = module.networking.network.id
  subnet_id           = module.networking.network.subnets.endpoints[0]
  storage_size_gb     = var.storage_size_gb
  # On kubernetes models are on a disk of the cluster.
  models_size_gb = local.simple ? try(var.ollama.storage_size_gb, null) : null
  protected      = var.protected
  labels         = var.labels
}

module "secrets" {
  source = "../modules/secrets/azure"

  key_vault_id    = local.key_vault_id
  secret_versions = var.secret_versions
  secret_values   = var.secret_values
  labels          = var.labels
}

module "identity" {
  source = "../modules/identity/azure"

  stack       = local.base
  platform    = var.compute_platform
  registry    = module.registry.id
  file_system = module.storage.file_system
  secrets     = module.secrets.secrets
}

module "ingress" {
  source = "../modules/ingress/azure"

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
  source = "../modules/compute/azure"
  count  = local.simple && var.image != null ? 1 : 0

  stack                 = local.base
  network               = module.networking.network
  backend               = module.ingress.backend
  identity              = module.identity.identity
  file_system           = module.storage.file_system
  volumes               = module.storage.volumes
  secrets               = module.secrets.secrets
  secret_versions       = module.secrets.versions
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
  ollama                = var.ollama
  ollama_url            = var.ollama_url
}

module "kubernetes" {
  source = "../modules/kubernetes/azure"
  count  = local.simple ? 0 : 1

  stack            = local.stack
  network          = module.networking.network
  identity         = module.identity.identity
  allowed_cidrs    = var.allowed_cidrs
  cpu              = var.cpu
  memory           = var.memory
  max_replicas     = var.max_replicas
  enable_gpu       = var.enable_gpu
  gpu_machine_type = var.gpu_machine_type
  ollama           = var.ollama
  # The service account is named in deploy/kubernetes/base.
  workload = { namespace = var.namespace, service_account = "devai" }

  # The cluster's ingress controller is given the gateway by its name.
  depends_on = [module.ingress]
}
