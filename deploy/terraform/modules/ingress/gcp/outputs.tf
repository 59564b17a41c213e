output "address_name" {
  description = "Name of the global IP address, which the ingress of the cluster refers to."
  value       = google_compute_global_address.this.name
}

output "certificate" {
  description = "Name of the certificate; null without HTTPS, and on Kubernetes with a host name, where the ingress creates it."
  value       = local.managed ? google_certificate_manager_certificate.this[0].name : local.named
}

output "url" {
  description = "URL of the lab."
  value       = "${local.scheme}://${coalesce(var.host_name, local.address)}${var.base_url}"
}

output "dns_records" {
  description = "DNS records to create manually, each with `name`, `type` and `value`; empty with a zone."
  value       = var.dns_zone == "" ? local.records : []
}

output "certificate_name" {
  description = "Name of an existing or self-signed certificate, which the ingress of the cluster refers to; null without HTTPS, and with a Google-managed certificate."
  value       = local.named
}
