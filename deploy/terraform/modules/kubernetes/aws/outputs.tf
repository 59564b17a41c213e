output "cluster_name" {
  description = "Name of the cluster."
  value       = aws_eks_cluster.this.name
}

output "kube_context" {
  description = "Name of the cluster's context in a kubeconfig that `aws eks update-kubeconfig` writes."
  value       = aws_eks_cluster.this.arn
}
