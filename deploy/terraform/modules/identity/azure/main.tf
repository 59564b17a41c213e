locals {
  identities = toset(["lab", "execution"])
  kubernetes = var.platform == "kubernetes"
}

resource "azurerm_user_assigned_identity" "this" {
  for_each = local.identities

  name                = "${var.name}-${each.key}"
  resource_group_name = var.resource_group_name
  location            = var.region
  tags                = merge(var.labels, { files = var.file_system })
}

# The lab may read only its own secrets; each has a separate role assignment.
resource "azurerm_role_assignment" "secrets" {
  for_each = var.secrets

  scope                = each.value
  role_definition_name = "Key Vault Secrets User"
  principal_id         = azurerm_user_assigned_identity.this["lab"].principal_id
  principal_type       = "ServicePrincipal"
}

# The container group, or the cluster's nodes, pull the image.
resource "azurerm_role_assignment" "pull" {
  scope                = var.registry_id
  role_definition_name = "AcrPull"
  principal_id         = azurerm_user_assigned_identity.this["execution"].principal_id
  principal_type       = "ServicePrincipal"
}

# The cluster assigns its own identity to its nodes.
resource "azurerm_role_assignment" "nodes" {
  count = local.kubernetes ? 1 : 0

  scope                = azurerm_user_assigned_identity.this["execution"].id
  role_definition_name = "Managed Identity Operator"
  principal_id         = azurerm_user_assigned_identity.this["execution"].principal_id
  principal_type       = "ServicePrincipal"
}
