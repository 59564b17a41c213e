output "service" {
  description = "The service's name."
  value       = aws_ecs_service.this.name
}
