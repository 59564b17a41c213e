output "address" {
  description = "Address that images are pushed to and pulled from, without the name of the image."
  value       = trimsuffix(aws_ecr_repository.this.repository_url, "/${var.repository}")
}

output "id" {
  description = "ARN of the repository, for policies that allow pulling from it."
  value       = aws_ecr_repository.this.arn
}
