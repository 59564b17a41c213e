output "identity" {
  description = "Managed identities of the lab (`lab`) and of the resources that start it (`execution`: the container group, or the cluster and its nodes), each with its resource ID (`id`) and client ID (`client_id`), the latter also with its principal ID (`principal_id`)."
  value = {
    lab = {
      id        = azurerm_user_assigned_identity.this["lab"].id
      client_id = azurerm_user_assigned_identity.this["lab"].client_id
    }
    execution = {
      id           = azurerm_user_assigned_identity.this["execution"].id
      client_id    = azurerm_user_assigned_identity.this["execution"].client_id
      principal_id = azurerm_user_assigned_identity.this["execution"].principal_id
    }
  }
  # Container groups and pods fail to start without these permissions.
  depends_on = [azurerm_role_assignment.pull, azurerm_role_assignment.secrets, azurerm_role_assignment.nodes]
}
