output "network" {
  description = "The network, its subnets by purpose, its firewalls by whom they protect, from where and at which port the load balancer reaches the lab, and by which addresses it goes out where they are fixed."
  value = {
    id           = azurerm_virtual_network.this.id
    subnets      = { for name in keys(local.subnets) : name => [azurerm_subnet.this[name].id] }
    firewalls    = { for name, subnet in { gateway = "gateway", workload = "workload", storage = "endpoints" } : name => azurerm_network_security_group.this[subnet].id }
    source_cidrs = [local.subnets.gateway]
    egress_cidrs = ["${azurerm_public_ip.nat.ip_address}/32"]
    port         = var.port
  }
  # What goes into a subnet wants its firewall and its way out.
  depends_on = [azurerm_subnet_network_security_group_association.this, azurerm_subnet_nat_gateway_association.this]
}
