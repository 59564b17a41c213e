output "registry" {
  description = "Address that the lab's image is pushed to, without the name of the image."
  value       = module.registry.address
}

output "cluster_name" {
  description = "Name of the Kubernetes cluster; null for managed containers."
  value       = one(module.kubernetes[*].cluster_name)
}

output "kube_context" {
  description = "Name of the cluster's context in a kubeconfig; null for managed containers."
  value       = one(module.kubernetes[*].kube_context)
}

output "identity" {
  description = "ARN of the lab's IAM role."
  value       = module.identity.identity.lab.id
}

output "file_system" {
  description = "ID of the EFS file system with the home."
  value       = module.storage.file_system
}

output "volumes" {
  description = "EFS volume handles of the home (`home`) and the models (`models`); null for models without a volume."
  value       = { for name in ["home", "models"] : name => nonsensitive(module.storage.volumes[name]) }
}

output "resource_group" {
  description = "Always null; only Azure has resource groups."
  value       = null
}

output "certificate" {
  description = "ARN of the load balancer's certificate; null without HTTPS."
  value       = module.ingress.certificate
}

output "ingress" {
  description = "Values that the cluster's ingress refers to: names of its address, security policy and certificate, firewall, subnets, and the networks from which the load balancer connects to the lab. null for values that the cloud does not have."
  value = {
    address_name     = null
    security_policy  = null
    certificate_name = null
    firewall         = module.networking.network.gateway_security_group_id
    subnets          = tolist(module.networking.network.public_subnet_ids)
    source_cidrs     = tolist(module.networking.network.load_balancer_cidrs)
  }
}

output "dns_records" {
  description = "DNS records to create manually; empty with a zone."
  value       = module.ingress.dns_records
}

output "url" {
  description = "URL of the lab; null if only the cluster's ingress has one."
  value       = module.ingress.url
}

output "token_secret" {
  description = "ID of the secret with the lab's token; null without one."
  value       = try(module.secrets.secrets["JUPYTER_TOKEN"], null)
}

output "image" {
  description = "Running image of the lab, with its digest; null before the first push, and on Kubernetes, where the manifests specify the image."
  value       = local.simple ? var.image : null
  # An image whose service failed to start does not run.
  depends_on = [module.compute]
}

output "gpu" {
  description = "Whether the image is the one for GPUs."
  value       = var.enable_gpu
}

output "secret_versions" {
  description = "Versions of the secrets' values, by the name of the environment variable."
  value       = var.secret_versions
  # Other machines rely on these: they are the versions that exist.
  depends_on = [module.secrets]
}
