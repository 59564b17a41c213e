locals {
  kubernetes = var.platform == "kubernetes"
  subnets = {
    # Nodes of the cluster, or container groups.
    workload = cidrsubnet(var.cidr, 4, 0)
    # The ingress controller supports at most a /24 if pods have an overlay network.
    gateway   = cidrsubnet(var.cidr, 8, 240)
    endpoints = cidrsubnet(var.cidr, 8, 241)
  }
  # Allowed connections to each subnet: name, priority, source and ports. Azure's default rules allow the whole virtual
  # network, so the last rule of each subnet denies everything else.
  rules = {
    gateway = {
      allowed = { priority = 100, from = var.allowed_cidrs, ports = ["80", "443"] }
      # Azure requires these ports for the management of a gateway.
      manager  = { priority = 110, from = ["GatewayManager"], ports = ["65200-65535"] }
      balancer = { priority = 120, from = ["AzureLoadBalancer"], ports = ["*"] }
    }
    workload = merge(
      { lab = { priority = 100, from = [local.subnets.gateway], ports = [tostring(var.port)] } },
      # Nodes connect to each other and to pods, and Azure probes nodes. The cluster's module adds a rule for pods.
      { for name, rule in {
        nodes    = { priority = 110, from = [local.subnets.workload], ports = ["*"] }
        balancer = { priority = 120, from = ["AzureLoadBalancer"], ports = ["*"] }
      } : name => rule if local.kubernetes },
    )
    endpoints = {
      # SMB for container groups, NFS for the cluster.
      files = { priority = 100, from = [local.subnets.workload], ports = [local.kubernetes ? "2049" : "445"] }
    }
  }
  flat_rules = merge([for subnet, rules in local.rules : {
    for name, rule in rules : "${subnet}-${name}" => merge(rule, { subnet = subnet })
  }]...)
}

resource "azurerm_virtual_network" "this" {
  name                = var.name
  resource_group_name = var.resource_group_name
  location            = var.region
  address_space       = [var.cidr]
  tags                = var.labels
}

resource "azurerm_subnet" "this" {
  for_each = local.subnets

  name                              = each.key
  resource_group_name               = var.resource_group_name
  virtual_network_name              = azurerm_virtual_network.this.name
  address_prefixes                  = [each.value]
  private_endpoint_network_policies = "Enabled"
  # Outbound connections use only the NAT gateway.
  default_outbound_access_enabled = each.key == "gateway"

  # The Key Vault accepts connections from these subnets through their service endpoint.
  dynamic "service_endpoint" {
    for_each = each.key == "endpoints" ? [] : ["Microsoft.KeyVault"]

    content {
      service = service_endpoint.value
    }
  }

  dynamic "delegation" {
    for_each = each.key == "workload" && !local.kubernetes ? ["Microsoft.ContainerInstance/containerGroups"] : []

    content {
      name = "containers"

      service_delegation {
        name    = delegation.value
        actions = ["Microsoft.Network/virtualNetworks/subnets/action"]
      }
    }
  }
}

resource "azurerm_network_security_group" "this" {
  for_each = local.subnets

  name                = "${var.name}-${each.key}"
  resource_group_name = var.resource_group_name
  location            = var.region
  tags                = var.labels
}

resource "azurerm_network_security_rule" "in" {
  for_each = local.flat_rules

  name                        = each.key
  resource_group_name         = var.resource_group_name
  network_security_group_name = azurerm_network_security_group.this[each.value.subnet].name
  direction                   = "Inbound"
  access                      = "Allow"
  priority                    = each.value.priority
  protocol                    = contains(each.value.ports, "*") ? "*" : "Tcp"
  source_port_range           = "*"
  # The provider has separate arguments for one service tag and for several networks.
  source_address_prefix      = can(cidrhost(each.value.from[0], 0)) ? null : each.value.from[0]
  source_address_prefixes    = can(cidrhost(each.value.from[0], 0)) ? each.value.from : null
  destination_address_prefix = "*"
  destination_port_range     = length(each.value.ports) == 1 ? each.value.ports[0] : null
  destination_port_ranges    = length(each.value.ports) == 1 ? null : each.value.ports
}

resource "azurerm_network_security_rule" "rest" {
  for_each = local.subnets

  name                        = "rest"
  resource_group_name         = var.resource_group_name
  network_security_group_name = azurerm_network_security_group.this[each.key].name
  direction                   = "Inbound"
  access                      = "Deny"
  priority                    = 4096
  protocol                    = "*"
  source_port_range           = "*"
  source_address_prefix       = "*"
  destination_address_prefix  = "*"
  destination_port_range      = "*"
}

resource "azurerm_subnet_network_security_group_association" "this" {
  for_each = local.subnets

  subnet_id                 = azurerm_subnet.this[each.key].id
  network_security_group_id = azurerm_network_security_group.this[each.key].id

  # Azure rejects a gateway in a subnet whose rules do not allow the gateway manager.
  depends_on = [azurerm_network_security_rule.in]
}

resource "azurerm_public_ip" "nat" {
  name                = "${var.name}-nat"
  resource_group_name = var.resource_group_name
  location            = var.region
  allocation_method   = "Static"
  sku                 = "Standard"
  tags                = var.labels
}

resource "azurerm_nat_gateway" "this" {
  name                = var.name
  resource_group_name = var.resource_group_name
  location            = var.region
  sku_name            = "Standard"
  tags                = var.labels
}

resource "azurerm_nat_gateway_public_ip_association" "this" {
  nat_gateway_id       = azurerm_nat_gateway.this.id
  public_ip_address_id = azurerm_public_ip.nat.id
}

resource "azurerm_subnet_nat_gateway_association" "this" {
  subnet_id      = azurerm_subnet.this["workload"].id
  nat_gateway_id = azurerm_nat_gateway.this.id
}
