output "address" {
  description = "Address that images are pushed to and pulled from, without the name of the image."
  value       = azurerm_container_registry.this.login_server
}

output "id" {
  description = "Resource ID of the registry, for role assignments that allow pulling from it."
  value       = azurerm_container_registry.this.id
}
