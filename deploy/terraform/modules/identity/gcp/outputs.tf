output "identity" {
  description = "Service accounts of the lab (`lab`), with its name (`id`) and e-mail address (`email`), and of the resources that start it (`execution`: the cluster's nodes, or the lab itself), with its e-mail address (`email`)."
  value = {
    lab = {
      id    = google_service_account.this["lab"].name
      email = google_service_account.this["lab"].email
    }
    execution = { email = google_service_account.this[local.execution].email }
  }
  # Instances and nodes fail to start without these permissions.
  depends_on = [
    google_artifact_registry_repository_iam_member.nodes,
    google_project_iam_member.files,
    google_secret_manager_secret_iam_member.this,
  ]
}
