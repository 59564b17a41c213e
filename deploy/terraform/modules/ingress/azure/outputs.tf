output "address_name" {
  description = "Name of the Application Gateway, which the ingress of the cluster refers to."
  value       = local.gateway.name
}

output "private_dns_zone_id" {
  description = "ID of the private DNS zone in which the container group registers its address; null on Kubernetes."
  value       = one(azurerm_private_dns_zone.this[*].id)
}

output "certificate" {
  description = "ID of the Key Vault secret that holds the certificate; null without HTTPS."
  value       = local.certificate
}

output "url" {
  description = "URL of the lab."
  value       = "${local.scheme}://${coalesce(var.host_name, azurerm_public_ip.this.fqdn)}${var.base_url}"
}

output "dns_records" {
  description = "DNS records to create manually, each with `name`, `type` and `value`; empty with a zone."
  value       = var.dns_zone == "" && var.host_name != "" ? [{ name = var.host_name, type = "A", value = local.address }] : []
}

output "certificate_name" {
  description = "Name of the certificate in the gateway, which the ingress of the cluster refers to; null without HTTPS."
  value       = var.enable_https ? "lab" : null
}
