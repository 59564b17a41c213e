output "cluster_name" {
  description = "The cluster's name."
  value       = azurerm_kubernetes_cluster.this.name
}

output "kube_context" {
  description = "Its context, as `az aks get-credentials` names it."
  value       = azurerm_kubernetes_cluster.this.name
}
