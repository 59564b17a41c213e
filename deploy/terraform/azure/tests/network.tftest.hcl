# Who may reach what.
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

run "open_to_the_allowed_networks_only" {
  command = plan

  module {
    source = "../modules/networking/azure"
  }

  assert {
    condition     = azurerm_network_security_rule.in["gateway-allowed"].source_address_prefixes == toset(var.allowed_cidrs)
    error_message = "the gateway answers the allowed networks, all of them and no others"
  }

  assert {
    condition     = azurerm_network_security_rule.in["gateway-allowed"].destination_port_ranges == toset(["80", "443"])
    error_message = "at the ports of HTTP and HTTPS"
  }

  assert {
    condition     = azurerm_network_security_rule.in["workload-lab"].source_address_prefixes == toset(["10.42.240.0/24"]) && azurerm_network_security_rule.in["workload-lab"].destination_port_range == "8888"
    error_message = "the lab is reached by the gateway, at its port and no other: Ollama's 11434 is closed"
  }

  assert {
    condition     = azurerm_network_security_rule.in["endpoints-files"].source_address_prefixes == toset(["10.42.0.0/20"]) && azurerm_network_security_rule.in["endpoints-files"].destination_port_range == "445"
    error_message = "files are reached by the lab only"
  }

  assert {
    condition     = alltrue([for rule in azurerm_network_security_rule.rest : rule.access == "Deny" && rule.direction == "Inbound" && rule.source_address_prefix == "*" && rule.protocol == "*"]) && length(azurerm_network_security_rule.rest) == 3
    error_message = "everybody else is refused, in every subnet"
  }

  assert {
    condition     = !anytrue([for name, rule in azurerm_network_security_rule.in : contains(["*", "0.0.0.0/0", "Internet"], coalesce(rule.source_address_prefix, "-"))])
    error_message = "nothing is open to everybody"
  }

  assert {
    condition     = length(azurerm_subnet_network_security_group_association.this) == 3
    error_message = "every subnet has its firewall"
  }

  assert {
    condition     = azurerm_subnet.this["workload"].default_outbound_access_enabled == false
    error_message = "the only way out is the NAT gateway"
  }

  assert {
    condition     = one(azurerm_subnet.this["workload"].delegation).service_delegation[0].name == "Microsoft.ContainerInstance/containerGroups"
    error_message = "the subnet is for container groups"
  }

  assert {
    condition     = alltrue([for rule in concat(values(azurerm_network_security_rule.in), values(azurerm_network_security_rule.rest)) : rule.priority >= 100 && rule.priority <= 4096])
    error_message = "priorities are within Azure's limits"
  }

  assert {
    condition     = azurerm_virtual_network.this.tags == tomap(var.labels)
    error_message = "labels are on all"
  }
}

run "of_a_cluster" {
  command = plan

  module {
    source = "../modules/networking/azure"
  }

  variables {
    platform = "kubernetes"
  }

  assert {
    condition     = length(azurerm_subnet.this["workload"].delegation) == 0
    error_message = "nodes want no delegation"
  }

  assert {
    condition     = azurerm_network_security_rule.in["endpoints-files"].destination_port_range == "2049"
    error_message = "pods mount by NFS"
  }

  assert {
    condition     = azurerm_network_security_rule.in["workload-nodes"].source_address_prefixes == toset(["10.42.0.0/20"]) && azurerm_network_security_rule.in["workload-nodes"].destination_address_prefix == "*" && azurerm_network_security_rule.in["workload-nodes"].protocol == "*"
    error_message = "nodes talk to each other and to pods, which have addresses outside of the network"
  }
}
