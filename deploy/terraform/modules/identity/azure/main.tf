locals {
  identities = toset(["lab", "execution"])
  kubernetes = var.platform == "kubernetes"
}

resource "azurerm_user_assigned_identity" "this" {
  for_each = local.identities

  name                = "${var.stack.name}-${each.key}"
  resource_group_name = var.stack.group
  location            = var.stack.region
  tags                = merge(var.stack.labels, { files = var.file_system })
}

# The lab reads its own secrets, each by name.
resource "azurerm_role_assignment" "secrets" {
  for_each = var.secrets

  scope                = each.value
  role_definition_name = "Key Vault Secrets User"
  principal_id         = azurerm_user_assigned_identity.this["lab"].principal_id
  principal_type       = "ServicePrincipal"
}

# Who starts the lab pulls its image: the container group, or the cluster's nodes.
resource "azurerm_role_assignment" "pull" {
  scope                = var.registry
  role_definition_name = "AcrPull"
  principal_id         = azurerm_user_assigned_identity.this["execution"].principal_id
  principal_type       = "ServicePrincipal"
}

# A cluster gives its nodes this very identity.
resource "azurerm_role_assignment" "nodes" {
  count = local.kubernetes ? 1 : 0

  scope                = azurerm_user_assigned_identity.this["execution"].id
  role_definition_name = "Managed Identity Operator"
  principal_id         = azurerm_user_assigned_identity.this["execution"].principal_id
  principal_type       = "ServicePrincipal"
}
