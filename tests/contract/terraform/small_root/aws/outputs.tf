output "registry" {
  value = split("/", aws_ecr_repository.this.repository_url)[0]
}

output "image" {
  value = var.image
}

output "secret_versions" {
  value = var.secret_versions
}

output "url" {
  value = "https://${var.host_name}/"
}
