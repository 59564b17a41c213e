resource "azurerm_log_analytics_workspace" "this" {
  name                = var.name
  resource_group_name = var.resource_group_name
  location            = var.region
  sku                 = "PerGB2018"
  retention_in_days   = var.protected ? 365 : 30
  tags                = var.labels
}
