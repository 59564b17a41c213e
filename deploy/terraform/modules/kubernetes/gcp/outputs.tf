output "cluster_name" {
  description = "Name of the cluster."
  value       = google_container_cluster.this.name
}

output "kube_context" {
  description = "Name of the cluster's context in a kubeconfig that `gcloud container clusters get-credentials` writes."
  value       = "gke_${var.account}_${var.region}_${google_container_cluster.this.name}"
}
