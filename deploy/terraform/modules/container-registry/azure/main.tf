resource "azurerm_container_registry" "this" {
  #checkov:skip=CKV_AZURE_139:images are pushed from workstations and from CI; Azure roles control access
  #checkov:skip=CKV_AZURE_163:Microsoft Defender scans images, for a whole subscription
  #checkov:skip=CKV_AZURE_164:Azure has retired trust policies
  #checkov:skip=CKV_AZURE_165:a stack is in one region
  #checkov:skip=CKV_AZURE_166:images are scanned before they are pushed; quarantined images would need a manual release
  #checkov:skip=CKV_AZURE_233:protected stacks are zone-redundant, with the Premium SKU
  #checkov:skip=CKV_AZURE_237:dedicated data endpoints are for firewall rules, of which there are none
  name                     = var.unique_name
  resource_group_name      = var.resource_group_name
  location                 = var.region
  sku                      = var.protected ? "Premium" : "Standard"
  admin_enabled            = false
  anonymous_pull_enabled   = false
  zone_redundancy_enabled  = var.protected
  retention_policy_in_days = var.protected ? 14 : null
  tags                     = merge(var.labels, { image = var.repository })
}
