output "service" {
  description = "The service's name."
  value       = azurerm_container_group.this.name
}
