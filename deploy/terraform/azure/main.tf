# A lab on Container Instances or AKS, with all its dependencies on Azure.
provider "azurerm" {
  subscription_id     = var.account
  storage_use_azuread = true

  # The provider registers the subscription for the services in use here.
  resource_providers_to_register = [
    "Microsoft.Compute", "Microsoft.ContainerInstance", "Microsoft.ContainerRegistry", "Microsoft.ContainerService",
    "microsoft.insights", "Microsoft.KeyVault", "Microsoft.ManagedIdentity", "Microsoft.Network",
    "Microsoft.OperationalInsights", "Microsoft.OperationsManagement", "Microsoft.PolicyInsights",
    "Microsoft.RecoveryServices", "Microsoft.Storage",
  ]

  features {
    # The storage account has a private address only: Terraform uses Azure's control plane.
    storage {
      data_plane_available = false
    }

    key_vault {
      # The name of a deleted vault stays reserved until the vault is purged.
      purge_soft_delete_on_destroy    = !var.protected
      recover_soft_deleted_key_vaults = true
    }
  }
}

locals {
  # Refers to the role assignments, so that nothing is written into the vault before they exist.
  key_vault_id = azurerm_role_assignment.operator["Key Vault Secrets Officer"].scope
  simple       = var.compute_platform == "simple"
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

resource "azurerm_resource_group" "this" {
  name     = var.name
  location = var.region
  tags     = var.labels
}

data "azurerm_client_config" "this" {}

# Secrets and certificates. Only the lab's subnets and the allowed networks can connect, so Terraform must run in an
# allowed network.
resource "azurerm_key_vault" "this" {
  #checkov:skip=CKV2_AZURE_32:the lab's subnets have a service endpoint for the vault
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
    virtual_network_subnet_ids = [module.networking.network.workload_subnet_id, module.networking.network.gateway_subnet_id]
  }

  # Azure refuses to reduce these values, and a vault that was deleted while protected is recovered with them.
  lifecycle {
    ignore_changes = [purge_protection_enabled, soft_delete_retention_days]
  }
}

# The first caller to apply may write secrets and create certificates. The roles stay assigned to the first caller when
# other callers run a plan; these need their own role assignments (docs/terraform.md).
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

  name                = var.name
  resource_group_name = azurerm_resource_group.this.name
  region              = var.region
  protected           = var.protected
  labels              = var.labels
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

  name                = var.name
  resource_group_name = azurerm_resource_group.this.name
  region              = var.region
  platform            = var.compute_platform
  allowed_cidrs       = var.allowed_cidrs
  port                = var.port
  labels              = var.labels
}

module "storage" {
  source = "../modules/storage/azure"

  name                = var.name
  unique_name         = var.unique
  resource_group_name = azurerm_resource_group.this.name
  region              = var.region
  platform            = var.compute_platform
  network_id          = module.networking.network.id
  subnet_id           = module.networking.network.storage_subnet_id
  storage_size_gb     = var.storage_size_gb
  # On Kubernetes, models are on a disk of the cluster.
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

  name                = var.name
  resource_group_name = azurerm_resource_group.this.name
  region              = var.region
  platform            = var.compute_platform
  registry_id         = module.registry.id
  file_system         = module.storage.file_system
  secrets             = module.secrets.secrets
  labels              = var.labels
}

module "ingress" {
  source = "../modules/ingress/azure"

  name                       = var.name
  unique_name                = var.unique
  resource_group_name        = azurerm_resource_group.this.name
  region                     = var.region
  platform                   = var.compute_platform
  network_id                 = module.networking.network.id
  subnet_id                  = module.networking.network.gateway_subnet_id
  port                       = var.port
  base_url                   = var.base_url
  host_name                  = var.host_name
  dns_zone                   = var.dns_zone
  certificate                = var.certificate
  enable_https               = var.enable_https
  key_vault_id               = local.key_vault_id
  log_analytics_workspace_id = module.observability.log_analytics_workspace_id
  protected                  = var.protected
  labels                     = var.labels
}

module "compute" {
  source = "../modules/compute/azure"
  count  = local.simple && var.image != null ? 1 : 0

  name                   = var.name
  resource_group_name    = azurerm_resource_group.this.name
  region                 = var.region
  subnet_id              = module.networking.network.workload_subnet_id
  private_dns_zone_id    = module.ingress.private_dns_zone_id
  lab_identity_id        = module.identity.identity.lab.id
  lab_identity_client_id = module.identity.identity.lab.client_id
  execution_identity_id  = module.identity.identity.execution.id
  file_system            = module.storage.file_system
  volumes                = module.storage.volumes
  storage_key            = module.storage.volumes.key
  image                  = var.image
  port                   = var.port
  base_url               = var.base_url
  cpu                    = var.cpu
  memory                 = var.memory
  min_replicas           = var.min_replicas
  max_replicas           = var.max_replicas
  enable_gpu             = var.enable_gpu
  gpu_machine_type       = var.gpu_machine_type
  environment_variables  = var.environment_variables
  secrets                = module.secrets.secrets
  secret_versions        = module.secrets.versions
  ollama                 = var.ollama
  ollama_url             = var.ollama_url
  labels                 = var.labels
}

module "kubernetes" {
  source = "../modules/kubernetes/azure"
  count  = local.simple ? 0 : 1

  name                       = var.name
  account                    = var.account
  resource_group_name        = azurerm_resource_group.this.name
  region                     = var.region
  subnet_id                  = module.networking.network.workload_subnet_id
  gateway_subnet_id          = module.networking.network.gateway_subnet_id
  network_security_group_id  = module.networking.network.workload_security_group_id
  egress_cidrs               = module.networking.network.egress_cidrs
  allowed_cidrs              = var.allowed_cidrs
  lab_identity_id            = module.identity.identity.lab.id
  node_identity              = module.identity.identity.execution
  cpu                        = var.cpu
  memory                     = var.memory
  max_replicas               = var.max_replicas
  enable_gpu                 = var.enable_gpu
  gpu_machine_type           = var.gpu_machine_type
  ollama                     = var.ollama
  log_analytics_workspace_id = module.observability.log_analytics_workspace_id
  protected                  = var.protected
  labels                     = var.labels
  # The service account is named in deploy/kubernetes/base.
  service_account = { namespace = var.namespace, name = "devai" }

  # The ingress controller refers to the gateway by its name.
  depends_on = [module.ingress]
}
