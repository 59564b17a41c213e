output "registry" {
  description = "Address that the lab's image is pushed to, without the image's own name."
  value       = module.registry.address
}

output "cluster_name" {
  description = "The Kubernetes cluster; null on the simple platform."
  value       = one(module.kubernetes[*].cluster_name)
}

output "kube_context" {
  description = "Its context, as the cloud's own program names it."
  value       = one(module.kubernetes[*].kube_context)
}

output "identity" {
  description = "Who the lab is."
  value       = module.identity.identity.lab.id
}

output "file_system" {
  description = "Where the home is."
  value       = module.storage.file_system
}

output "volumes" {
  description = "What volumes of the home and of the models name."
  value       = { for name in ["home", "models"] : name => nonsensitive(module.storage.volumes[name]) }
}

output "resource_group" {
  description = "Azure's resource group; null elsewhere."
  value       = try(local.base.group, null)
}

output "certificate" {
  description = "The certificate that the load balancer shows; null without HTTPS, and where the ingress makes it."
  value       = module.ingress.certificate
}

output "ingress" {
  description = "What the ingress of Kubernetes names."
  value       = module.ingress.details
}

output "dns_records" {
  description = "Records to make, where no zone was given."
  value       = module.ingress.dns_records
}

output "url" {
  description = "Where the lab is; null where only the ingress will know."
  value       = module.ingress.url
}

output "token_secret" {
  description = "The secret that holds the lab's token."
  value       = try(module.secrets.secrets["JUPYTER_TOKEN"], null)
}

output "image" {
  description = "The image that runs; null while none is pushed, and on Kubernetes, where the manifests say it."
  value       = local.simple ? var.image : null
  # One that did not come up does not run.
  depends_on = [module.compute]
}

output "gpu" {
  description = "Whether that image is the one for GPUs."
  value       = var.enable_gpu
}

output "secret_versions" {
  description = "Secrets and the versions of their values."
  value       = var.secret_versions
  # Other machines take it for what is there.
  depends_on = [module.secrets]
}
