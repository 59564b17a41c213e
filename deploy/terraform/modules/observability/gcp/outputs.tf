output "log_bucket_id" {
  description = "ID of the log bucket."
  value       = google_logging_project_bucket_config.this.id
}
