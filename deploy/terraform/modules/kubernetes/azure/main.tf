locals {
  # The D series has 4 GiB per core. A node has room for one lab, the model server and the system.
  sizes = [4, 8, 16, 32, 48, 64, 96]
  cores = var.cpu + (var.enable_gpu ? 0 : try(var.ollama.cpu, 0)) + 1
  gib   = (var.memory + (var.enable_gpu ? 0 : try(var.ollama.memory, 0))) / 1024 + 3
  fits  = [for size in local.sizes : size if size >= local.cores && size * 4 >= local.gib]
  zones = var.protected ? ["1", "2", "3"] : null
  scope = "/subscriptions/${var.account}/resourceGroups/${var.resource_group_name}"
  # The gateway of the ingress module, by its name.
  gateway = "${local.scope}/providers/Microsoft.Network/applicationGateways/${var.name}"
  # Addresses of pods, which are used only inside the cluster; outside, pods have the address of their node.
  pods = "10.244.0.0/16"
  # Output of containers, events and resource usage.
  streams = ["Microsoft-ContainerInsights-Group-Default"]

  controller = azurerm_kubernetes_cluster.this.ingress_application_gateway[0].ingress_application_gateway_identity[0].object_id
  # The ingress controller configures the gateway, joins its subnet and assigns the identity that reads its certificate.
  controller_roles = {
    gateway  = { scope = local.gateway, role = "Contributor" }
    group    = { scope = local.scope, role = "Reader" }
    subnet   = { scope = var.gateway_subnet_id, role = "Network Contributor" }
    identity = { scope = "${local.scope}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/${var.name}-gateway", role = "Managed Identity Operator" }
  }
}

# The cluster adds nodes and load balancers to the subnet.
resource "azurerm_role_assignment" "subnet" {
  scope                = var.subnet_id
  role_definition_name = "Network Contributor"
  principal_id         = var.node_identity.principal_id
  principal_type       = "ServicePrincipal"
}

# The nodes' network security group also filters connections between pods
# (https://learn.microsoft.com/azure/aks/concepts-network-azure-cni-overlay): without this rule, a pod can't connect to
# pods on other nodes, not even to CoreDNS.
resource "azurerm_network_security_rule" "pods" {
  name                        = "pods"
  resource_group_name         = var.resource_group_name
  network_security_group_name = basename(var.network_security_group_id)
  direction                   = "Inbound"
  access                      = "Allow"
  priority                    = 130
  protocol                    = "*"
  source_port_range           = "*"
  source_address_prefix       = local.pods
  destination_address_prefix  = local.pods
  destination_port_range      = "*"
}

resource "azurerm_kubernetes_cluster" "this" {
  #checkov:skip=CKV_AZURE_115:manifests are applied from the allowed networks
  #checkov:skip=CKV_AZURE_117:disks are encrypted with Microsoft-managed keys
  #checkov:skip=CKV_AZURE_141:`az aks get-credentials` without Entra groups requires the local account
  #checkov:skip=CKV_AZURE_227:encryption at host must first be registered for the subscription; disks are encrypted anyway
  #checkov:skip=CKV_AZURE_226:not every VM size has ephemeral disks
  #checkov:skip=CKV_AZURE_232:the only pool runs everything
  name                      = var.name
  resource_group_name       = var.resource_group_name
  location                  = var.region
  dns_prefix                = var.name
  sku_tier                  = var.protected ? "Standard" : "Free"
  automatic_upgrade_channel = "stable"
  node_os_upgrade_channel   = "NodeImage"
  oidc_issuer_enabled       = true
  workload_identity_enabled = true
  azure_policy_enabled      = true
  local_account_disabled    = false
  tags                      = var.labels

  default_node_pool {
    name                        = "default"
    vm_size                     = "Standard_D${local.fits[0]}s_v5"
    vnet_subnet_id              = var.subnet_id
    zones                       = local.zones
    auto_scaling_enabled        = true
    min_count                   = 1
    max_count                   = var.max_replicas + 1
    max_pods                    = 110
    temporary_name_for_rotation = "rotation"
    tags                        = var.labels

    upgrade_settings {
      max_surge = "33%"
    }
  }

  # The configuration sets VM sizes and limits, so Azure must not provision other node pools.
  node_provisioning_profile {
    mode = "Manual"
  }

  identity {
    type         = "UserAssigned"
    identity_ids = [var.node_identity.id]
  }

  kubelet_identity {
    user_assigned_identity_id = var.node_identity.id
    client_id                 = var.node_identity.client_id
    object_id                 = var.node_identity.principal_id
  }

  # Cilium enforces the network policies of the manifests.
  network_profile {
    network_plugin      = "azure"
    network_plugin_mode = "overlay"
    pod_cidr            = local.pods
    network_policy      = "cilium"
    network_data_plane  = "cilium"
    outbound_type       = "userAssignedNATGateway"
  }

  api_server_access_profile {
    # Nodes connect to the API server through their NAT gateway.
    authorized_ip_ranges = concat(var.allowed_cidrs, var.egress_cidrs)
  }

  ingress_application_gateway {
    gateway_id = local.gateway
  }

  key_vault_secrets_provider {
    secret_rotation_enabled = true
  }

  storage_profile {
    disk_driver_enabled = true
    file_driver_enabled = true
  }

  oms_agent {
    log_analytics_workspace_id      = var.log_analytics_workspace_id
    msi_auth_for_monitoring_enabled = true
  }

  lifecycle {
    precondition {
      condition     = length(local.fits) > 0
      error_message = "No VM size of the D series has ${local.cores} cores and ${local.gib} GiB, which one lab and the model server need."
    }
  }

  depends_on = [azurerm_role_assignment.subnet, azurerm_network_security_rule.pods]
}

# What the agent collects, and the workspace that it sends to. Without a rule, the agent collects nothing.
resource "azurerm_monitor_data_collection_rule" "this" {
  name                = var.name
  resource_group_name = var.resource_group_name
  location            = var.region
  tags                = var.labels

  data_sources {
    extension {
      name           = "ContainerInsightsExtension"
      extension_name = "ContainerInsights"
      streams        = local.streams
      extension_json = jsonencode({ dataCollectionSettings = { interval = "1m", namespaceFilteringMode = "Off", enableContainerLogV2 = true } })
    }
  }

  data_flow {
    streams      = local.streams
    destinations = ["logs"]
  }

  destinations {
    log_analytics {
      name                  = "logs"
      workspace_resource_id = var.log_analytics_workspace_id
    }
  }
}

# The agent finds its rule by this name.
resource "azurerm_monitor_data_collection_rule_association" "this" {
  name                    = "ContainerInsightsExtension"
  target_resource_id      = azurerm_kubernetes_cluster.this.id
  data_collection_rule_id = azurerm_monitor_data_collection_rule.this.id
}

resource "azurerm_role_assignment" "controller" {
  for_each = local.controller_roles

  scope                = each.value.scope
  role_definition_name = each.value.role
  principal_id         = local.controller
  principal_type       = "ServicePrincipal"
}

# Only the lab's service account has the lab's identity.
resource "azurerm_federated_identity_credential" "this" {
  name                      = var.name
  user_assigned_identity_id = var.lab_identity_id
  audience                  = ["api://AzureADTokenExchange"]
  issuer                    = azurerm_kubernetes_cluster.this.oidc_issuer_url
  subject                   = "system:serviceaccount:${var.service_account.namespace}:${var.service_account.name}"
}

# Azure installs the driver; the device plugin is a manifest (deploy/kubernetes/clusters/azure-gpu.yaml).
resource "azurerm_kubernetes_cluster_node_pool" "gpu" {
  #checkov:skip=CKV_AZURE_227:encryption at host must first be registered for the subscription; disks are encrypted anyway
  count = var.enable_gpu ? 1 : 0

  name                        = "gpu"
  kubernetes_cluster_id       = azurerm_kubernetes_cluster.this.id
  vm_size                     = var.gpu_machine_type
  vnet_subnet_id              = var.subnet_id
  auto_scaling_enabled        = true
  min_count                   = 0
  max_count                   = var.max_replicas
  max_pods                    = 110
  gpu_driver                  = "Install"
  os_disk_size_gb             = 128
  node_labels                 = { "devai.io/gpu" = "true" }
  node_taints                 = ["nvidia.com/gpu=present:NoSchedule"]
  temporary_name_for_rotation = "gpurotate"
  tags                        = var.labels

  # Azure's default; without it here, each plan would remove the setting.
  upgrade_settings {
    max_surge = "10%"
  }
}
