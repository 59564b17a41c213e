resource "azurerm_log_analytics_workspace" "this" {
  name                = var.stack.name
  resource_group_name = var.stack.group
  location            = var.stack.region
  sku                 = "PerGB2018"
  retention_in_days   = var.stack.protected ? 365 : 30
  tags                = var.stack.labels
}
