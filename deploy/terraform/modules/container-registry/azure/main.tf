resource "azurerm_container_registry" "this" {
  #checkov:skip=CKV_AZURE_139:images are pushed from people's machines and from CI; who may is Azure's to say, by role
  #checkov:skip=CKV_AZURE_163:Defender does it, for a whole subscription
  #checkov:skip=CKV_AZURE_164:trust policies are gone from the service
  #checkov:skip=CKV_AZURE_165:one stack, one region
  #checkov:skip=CKV_AZURE_166:images are scanned before they are pushed; quarantine would hold them back until somebody releases them
  #checkov:skip=CKV_AZURE_233:protected stacks have it, with the Premium SKU
  #checkov:skip=CKV_AZURE_237:needed where a firewall names the data's address; there is none
  name                     = var.stack.unique
  resource_group_name      = var.stack.group
  location                 = var.stack.region
  sku                      = var.stack.protected ? "Premium" : "Standard"
  admin_enabled            = false
  anonymous_pull_enabled   = false
  zone_redundancy_enabled  = var.stack.protected
  retention_policy_in_days = var.stack.protected ? 14 : null
  tags                     = merge(var.stack.labels, { image = var.repository })
}
