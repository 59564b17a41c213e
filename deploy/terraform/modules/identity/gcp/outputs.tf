output "identity" {
  description = "Who the lab is, and who starts it: id, how programs name it, whom roles are given to."
  value = {
    id     = google_service_account.this["lab"].name
    client = google_service_account.this["lab"].email
    execution = {
      id        = google_service_account.this[local.execution].name
      client    = google_service_account.this[local.execution].email
      principal = google_service_account.this[local.execution].member
    }
  }
  # What is started before it may pull or read does not start.
  depends_on = [
    google_artifact_registry_repository_iam_member.nodes,
    google_project_iam_member.files,
    google_secret_manager_secret_iam_member.this,
  ]
}
