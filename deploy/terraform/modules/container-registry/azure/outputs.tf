output "address" {
  description = "What the image is pushed to and pulled from, without the image's own name."
  value       = azurerm_container_registry.this.login_server
}

output "id" {
  description = "The registry, for roles that may pull from it."
  value       = azurerm_container_registry.this.id
}
