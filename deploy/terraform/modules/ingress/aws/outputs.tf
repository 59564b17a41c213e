output "backend" {
  description = "What the lab registers with: the target group; null on kubernetes."
  value       = try(aws_lb_target_group.this[0].arn, null)
  # A service can't use a target group that no listener has.
  depends_on = [aws_lb_listener.http, aws_lb_listener.https]
}

output "certificate" {
  description = "The certificate's ARN; null without HTTPS."
  value       = local.certificate
}

output "url" {
  description = "Where the lab is; null where only the ingress will know."
  value       = var.host_name != "" ? "${local.scheme}://${var.host_name}${var.base_url}" : try("${local.scheme}://${local.address}${var.base_url}", null)
}

output "dns_records" {
  description = "Records to make, where no zone was given."
  value = var.dns_zone != "" ? [] : concat(
    local.proofs,
    local.simple && var.host_name != "" ? [{ name = var.host_name, type = "CNAME", value = local.address }] : [],
  )
}

output "details" {
  description = "What the ingress of Kubernetes names: address, policy, certificate, firewall and subnets."
  value = {
    address_name     = null
    security_policy  = null
    certificate_name = null
    firewall         = var.network.firewalls.gateway
    subnets          = var.network.subnets.gateway
    source_cidrs     = var.network.source_cidrs
  }
}
