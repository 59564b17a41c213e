output "cluster_name" {
  description = "The cluster's name."
  value       = google_container_cluster.this.name
}

output "kube_context" {
  description = "Its context, as `gcloud container clusters get-credentials` names it."
  value       = "gke_${var.stack.account}_${var.stack.region}_${google_container_cluster.this.name}"
}
