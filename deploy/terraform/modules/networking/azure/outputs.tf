output "network" {
  description = "The virtual network (`id`), its subnets of gateway, lab and private endpoints (`gateway_subnet_id`, `workload_subnet_id`, `storage_subnet_id`), the network security groups of the first two (`gateway_security_group_id`, `workload_security_group_id`), the networks from which the gateway connects to the lab (`load_balancer_cidrs`), and the public addresses of outbound connections (`egress_cidrs`)."
  value = {
    id                         = azurerm_virtual_network.this.id
    gateway_subnet_id          = azurerm_subnet.this["gateway"].id
    workload_subnet_id         = azurerm_subnet.this["workload"].id
    storage_subnet_id          = azurerm_subnet.this["endpoints"].id
    gateway_security_group_id  = azurerm_network_security_group.this["gateway"].id
    workload_security_group_id = azurerm_network_security_group.this["workload"].id
    load_balancer_cidrs        = [local.subnets.gateway]
    egress_cidrs               = ["${azurerm_public_ip.nat.ip_address}/32"]
  }
  # Resources in a subnet need its rules and its NAT gateway.
  depends_on = [azurerm_subnet_network_security_group_association.this, azurerm_subnet_nat_gateway_association.this]
}
