output "logs" {
  description = "Where logs go: the log bucket's id."
  value       = google_logging_project_bucket_config.this.id
}
