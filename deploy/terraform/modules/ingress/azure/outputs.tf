output "backend" {
  description = "What the lab registers with: the private zone of names; null on kubernetes."
  value       = one(azurerm_private_dns_zone.this[*].id)
}

output "certificate" {
  description = "The certificate's secret id in its Key Vault; null without HTTPS."
  value       = local.certificate
}

output "url" {
  description = "Where the lab is."
  value       = "${local.scheme}://${coalesce(var.host_name, azurerm_public_ip.this.fqdn)}${var.base_url}"
}

output "dns_records" {
  description = "Records to make, where no zone was given."
  value       = var.dns_zone == "" && var.host_name != "" ? [{ name = var.host_name, type = "A", value = local.address }] : []
}

output "details" {
  description = "What the ingress of Kubernetes names: address, policy, certificate, firewall and subnets."
  value = {
    address_name     = local.gateway.name
    security_policy  = null
    certificate_name = var.enable_https ? "lab" : null
    firewall         = var.network.firewalls.gateway
    subnets          = var.network.subnets.gateway
    source_cidrs     = var.network.source_cidrs
  }
}
