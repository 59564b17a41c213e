output "cluster_name" {
  description = "Name of the cluster."
  value       = azurerm_kubernetes_cluster.this.name
}

output "kube_context" {
  description = "Name of the cluster's context in a kubeconfig that `az aks get-credentials` writes."
  value       = azurerm_kubernetes_cluster.this.name
}
