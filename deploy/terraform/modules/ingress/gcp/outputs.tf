output "certificate" {
  description = "The certificate's name; null without HTTPS, and where the ingress of kubernetes makes it."
  value       = local.managed ? google_certificate_manager_certificate.this[0].name : local.named
}

output "url" {
  description = "Where the lab is."
  value       = "${local.scheme}://${coalesce(var.host_name, local.address)}${var.base_url}"
}

output "dns_records" {
  description = "Records to make, where no zone was given."
  value       = var.dns_zone == "" ? local.records : []
}

output "details" {
  description = "What the ingress of Kubernetes names: address, policy, certificate, firewall and subnets."
  value = {
    address_name     = google_compute_global_address.this.name
    security_policy  = var.network.firewalls.gateway
    certificate_name = local.named
    firewall         = var.network.firewalls.gateway
    subnets          = var.network.subnets.gateway
    source_cidrs     = var.network.source_cidrs
  }
}
