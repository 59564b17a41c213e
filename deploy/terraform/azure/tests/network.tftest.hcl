# Firewall rules and subnets.
mock_provider "azurerm" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  name                = "devai-dev"
  resource_group_name = "devai-dev"
  region              = "westeurope"
  labels              = { part-of = "devai" }
  platform            = "simple"
  allowed_cidrs       = ["192.0.2.0/24", "198.51.100.0/24"]
  port                = 8888
}

run "allowed_networks" {
  command = plan

  module {
    source = "../modules/networking/azure"
  }

  assert {
    condition     = azurerm_network_security_rule.in["gateway-allowed"].source_address_prefixes == toset(var.allowed_cidrs)
    error_message = "only the allowed networks may connect to the gateway"
  }

  assert {
    condition     = azurerm_network_security_rule.in["gateway-allowed"].destination_port_ranges == toset(["80", "443"])
    error_message = "the load balancer's ports must be those of HTTP and HTTPS"
  }

  assert {
    condition     = azurerm_network_security_rule.in["workload-lab"].source_address_prefixes == toset(["10.42.240.0/24"]) && azurerm_network_security_rule.in["workload-lab"].destination_port_range == "8888"
    error_message = "only the gateway may connect to the lab, on the lab's port; Ollama's port 11434 must be closed"
  }

  assert {
    condition     = azurerm_network_security_rule.in["endpoints-files"].source_address_prefixes == toset(["10.42.0.0/20"]) && azurerm_network_security_rule.in["endpoints-files"].destination_port_range == "445"
    error_message = "only the lab may connect to the file system"
  }

  assert {
    condition     = alltrue([for rule in azurerm_network_security_rule.rest : rule.access == "Deny" && rule.direction == "Inbound" && rule.source_address_prefix == "*" && rule.protocol == "*"]) && length(azurerm_network_security_rule.rest) == 3
    error_message = "all other connections must be denied in every subnet"
  }

  assert {
    condition     = !anytrue([for name, rule in azurerm_network_security_rule.in : contains(["*", "0.0.0.0/0", "Internet"], coalesce(rule.source_address_prefix, "-"))])
    error_message = "no rule may allow connections from everywhere"
  }

  assert {
    condition     = length(azurerm_subnet_network_security_group_association.this) == 3
    error_message = "every subnet must have a security group"
  }

  assert {
    condition     = azurerm_subnet.this["workload"].default_outbound_access_enabled == false
    error_message = "outgoing connections must use the NAT gateway"
  }

  assert {
    condition     = one(azurerm_subnet.this["workload"].delegation).service_delegation[0].name == "Microsoft.ContainerInstance/containerGroups"
    error_message = "the subnet must be delegated to container groups"
  }

  assert {
    condition     = alltrue([for rule in concat(values(azurerm_network_security_rule.in), values(azurerm_network_security_rule.rest)) : rule.priority >= 100 && rule.priority <= 4096])
    error_message = "priorities must be within Azure's limits"
  }

  assert {
    condition     = azurerm_virtual_network.this.tags == tomap(var.labels)
    error_message = "resources must have the stack's labels"
  }
}

run "cluster_network" {
  command = plan

  module {
    source = "../modules/networking/azure"
  }

  variables {
    platform = "kubernetes"
  }

  assert {
    condition     = length(azurerm_subnet.this["workload"].delegation) == 0
    error_message = "subnets of nodes must not have a delegation"
  }

  assert {
    condition     = azurerm_network_security_rule.in["endpoints-files"].destination_port_range == "2049"
    error_message = "pods must be able to mount NFS shares"
  }

  assert {
    condition     = azurerm_network_security_rule.in["workload-nodes"].source_address_prefixes == toset(["10.42.0.0/20"]) && azurerm_network_security_rule.in["workload-nodes"].destination_address_prefix == "*" && azurerm_network_security_rule.in["workload-nodes"].protocol == "*"
    error_message = "nodes must be able to connect to each other and to pods, whose addresses are outside of the network"
  }
}
