locals {
  # D-series: 4 GiB to a core. One node holds a lab and the model server, beside what the system takes.
  sizes = [4, 8, 16, 32, 48, 64, 96]
  cores = var.cpu + (var.enable_gpu ? 0 : try(var.ollama.cpu, 0)) + 1
  gib   = (var.memory + (var.enable_gpu ? 0 : try(var.ollama.memory, 0))) / 1024 + 3
  fits  = [for size in local.sizes : size if size >= local.cores && size * 4 >= local.gib]
  zones = var.stack.protected ? ["1", "2", "3"] : null
  scope = "/subscriptions/${var.stack.account}/resourceGroups/${var.stack.group}"
  # Made by the ingress module, which knows nothing of the cluster.
  gateway = "${local.scope}/providers/Microsoft.Network/applicationGateways/${var.stack.name}"
  # Known inside the cluster only: outside of it pods have their node's address.
  pods = "10.244.0.0/16"
  # What containers print, events, and what each of them takes.
  streams = ["Microsoft-ContainerInsights-Group-Default"]

  controller = azurerm_kubernetes_cluster.this.ingress_application_gateway[0].ingress_application_gateway_identity[0].object_id
  # What the ingress controller does: fill the gateway, join its subnet, keep the identity that reads its certificate.
  controller_roles = {
    gateway  = { scope = local.gateway, role = "Contributor" }
    group    = { scope = local.scope, role = "Reader" }
    subnet   = { scope = var.network.subnets.gateway[0], role = "Network Contributor" }
    identity = { scope = "${local.scope}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/${var.stack.name}-gateway", role = "Managed Identity Operator" }
  }
}

# The cluster puts its nodes and load balancers into the subnet.
resource "azurerm_role_assignment" "subnet" {
  scope                = var.network.subnets.workload[0]
  role_definition_name = "Network Contributor"
  principal_id         = var.identity.execution.principal
  principal_type       = "ServicePrincipal"
}

# The nodes' firewall sees what pods say to each other, and lets in nobody whom no rule names
# (https://learn.microsoft.com/azure/aks/concepts-network-azure-cni-overlay): without this one a pod reaches no other
# node's pods, those that answer names among them.
resource "azurerm_network_security_rule" "pods" {
  name                        = "pods"
  resource_group_name         = var.stack.group
  network_security_group_name = basename(var.network.firewalls.workload)
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
  #checkov:skip=CKV_AZURE_115:people apply manifests from the allowed networks
  #checkov:skip=CKV_AZURE_117:Azure's own keys encrypt the disks
  #checkov:skip=CKV_AZURE_141:`az aks get-credentials` without Entra groups wants the local account
  #checkov:skip=CKV_AZURE_227:a subscription has to register that feature first; Azure encrypts the disks anyway
  #checkov:skip=CKV_AZURE_226:ephemeral disks are not in every size
  #checkov:skip=CKV_AZURE_232:one pool for all until there is a second
  name                      = var.stack.name
  resource_group_name       = var.stack.group
  location                  = var.stack.region
  dns_prefix                = var.stack.name
  sku_tier                  = var.stack.protected ? "Standard" : "Free"
  automatic_upgrade_channel = "stable"
  node_os_upgrade_channel   = "NodeImage"
  oidc_issuer_enabled       = true
  workload_identity_enabled = true
  azure_policy_enabled      = true
  local_account_disabled    = false
  tags                      = var.stack.labels

  default_node_pool {
    name                        = "default"
    vm_size                     = "Standard_D${local.fits[0]}s_v5"
    vnet_subnet_id              = var.network.subnets.workload[0]
    zones                       = local.zones
    auto_scaling_enabled        = true
    min_count                   = 1
    max_count                   = var.max_replicas + 1
    max_pods                    = 110
    temporary_name_for_rotation = "rotation"
    tags                        = var.stack.labels

    upgrade_settings {
      max_surge = "33%"
    }
  }

  # Pools have their machine and their bounds from here; Azure adds none of its own.
  node_provisioning_profile {
    mode = "Manual"
  }

  identity {
    type         = "UserAssigned"
    identity_ids = [var.identity.execution.id]
  }

  kubelet_identity {
    user_assigned_identity_id = var.identity.execution.id
    client_id                 = var.identity.execution.client
    object_id                 = var.identity.execution.principal
  }

  # Cilium keeps the manifests' network policies.
  network_profile {
    network_plugin      = "azure"
    network_plugin_mode = "overlay"
    pod_cidr            = local.pods
    network_policy      = "cilium"
    network_data_plane  = "cilium"
    outbound_type       = "userAssignedNATGateway"
  }

  api_server_access_profile {
    # Nodes reach it by their way out.
    authorized_ip_ranges = concat(var.allowed_cidrs, var.network.egress_cidrs)
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
    log_analytics_workspace_id      = var.stack.logs
    msi_auth_for_monitoring_enabled = true
  }

  lifecycle {
    precondition {
      condition     = length(local.fits) > 0
      error_message = "No machine of the D series has ${local.cores} cores and ${local.gib} GiB, which one lab and its model server need."
    }
  }

  depends_on = [azurerm_role_assignment.subnet, azurerm_network_security_rule.pods]
}

# What its agent collects, and for which workspace: without a rule that is nothing.
resource "azurerm_monitor_data_collection_rule" "this" {
  name                = var.stack.name
  resource_group_name = var.stack.group
  location            = var.stack.region
  tags                = var.stack.labels

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
      workspace_resource_id = var.stack.logs
    }
  }
}

# The agent looks for its rule by this name.
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

# The lab's service account, and no other, is the lab's identity.
resource "azurerm_federated_identity_credential" "this" {
  name                      = var.stack.name
  user_assigned_identity_id = var.identity.id
  audience                  = ["api://AzureADTokenExchange"]
  issuer                    = azurerm_kubernetes_cluster.this.oidc_issuer_url
  subject                   = "system:serviceaccount:${var.workload.namespace}:${var.workload.service_account}"
}

# The driver is Azure's to install; the device plugin comes with the manifests: deploy/kubernetes/clusters/azure-gpu.yaml.
resource "azurerm_kubernetes_cluster_node_pool" "gpu" {
  #checkov:skip=CKV_AZURE_227:a subscription has to register that feature first; Azure encrypts the disks anyway
  count = var.enable_gpu ? 1 : 0

  name                        = "gpu"
  kubernetes_cluster_id       = azurerm_kubernetes_cluster.this.id
  vm_size                     = var.gpu_machine_type
  vnet_subnet_id              = var.network.subnets.workload[0]
  auto_scaling_enabled        = true
  min_count                   = 0
  max_count                   = var.max_replicas
  max_pods                    = 110
  gpu_driver                  = "Install"
  os_disk_size_gb             = 128
  node_labels                 = { "devai.io/gpu" = "true" }
  node_taints                 = ["nvidia.com/gpu=present:NoSchedule"]
  temporary_name_for_rotation = "gpurotate"
  tags                        = var.stack.labels

  # Azure's own value: where none is said, each plan would take it away.
  upgrade_settings {
    max_surge = "10%"
  }
}
