output "identity" {
  description = "Who the lab is, and who starts it: id, how programs name it, whom roles are given to."
  value = {
    id     = azurerm_user_assigned_identity.this["lab"].id
    client = azurerm_user_assigned_identity.this["lab"].client_id
    execution = {
      id        = azurerm_user_assigned_identity.this["execution"].id
      client    = azurerm_user_assigned_identity.this["execution"].client_id
      principal = azurerm_user_assigned_identity.this["execution"].principal_id
    }
  }
  # What is started before it may pull or read does not start.
  depends_on = [azurerm_role_assignment.pull, azurerm_role_assignment.secrets, azurerm_role_assignment.nodes]
}
