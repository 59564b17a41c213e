output "cluster_name" {
  description = "The cluster's name."
  value       = aws_eks_cluster.this.name
}

output "kube_context" {
  description = "Its context, as `aws eks update-kubeconfig` names it."
  value       = aws_eks_cluster.this.arn
}
