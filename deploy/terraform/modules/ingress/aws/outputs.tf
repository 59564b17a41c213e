output "target_group_arn" {
  description = "ARN of the target group that the lab registers with; null on Kubernetes."
  value       = try(aws_lb_target_group.this[0].arn, null)
  # ECS rejects a target group without a listener.
  depends_on = [aws_lb_listener.http, aws_lb_listener.https]
}

output "certificate" {
  description = "ARN of the certificate; null without HTTPS."
  value       = local.certificate
}

output "url" {
  description = "URL of the lab; null on Kubernetes without a host name, where only the ingress has a URL."
  value       = var.host_name != "" ? "${local.scheme}://${var.host_name}${var.base_url}" : try("${local.scheme}://${local.address}${var.base_url}", null)
}

output "dns_records" {
  description = "DNS records to create manually, each with `name`, `type` and `value`; empty with a zone."
  value = var.dns_zone != "" ? [] : concat(
    local.proofs,
    local.simple && var.host_name != "" ? [{ name = var.host_name, type = "CNAME", value = local.address }] : [],
  )
}
