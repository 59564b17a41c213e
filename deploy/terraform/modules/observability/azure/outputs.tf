output "logs" {
  description = "Where logs go: the workspace's id."
  value       = azurerm_log_analytics_workspace.this.id
}
