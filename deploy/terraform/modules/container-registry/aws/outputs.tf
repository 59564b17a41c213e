output "address" {
  description = "What the image is pushed to and pulled from, without the image's own name."
  value       = trimsuffix(aws_ecr_repository.this.repository_url, "/${var.repository}")
}

output "id" {
  description = "The registry, for roles that may pull from it."
  value       = aws_ecr_repository.this.arn
}
