# AKS.
mock_provider "azurerm" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  name                       = "devai-prod"
  account                    = "00000000-0000-0000-0000-000000000000"
  resource_group_name        = "devai-prod"
  region                     = "westeurope"
  subnet_id                  = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.Network/virtualNetworks/devai-dev/subnets/workload"
  gateway_subnet_id          = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.Network/virtualNetworks/devai-dev/subnets/gateway"
  network_security_group_id  = "workload"
  egress_cidrs               = ["203.0.113.9/32"]
  log_analytics_workspace_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.OperationalInsights/workspaces/devai-dev"
  protected                  = true
  labels                     = { part-of = "devai" }
  allowed_cidrs              = ["192.0.2.0/24"]
  cpu                        = 2
  memory                     = 4096
  max_replicas               = 3
  enable_gpu                 = false
  gpu_machine_type           = "Standard_NC4as_T4_v3"
  ollama                     = { cpu = 2, memory = 8192 }
  lab_identity_id            = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.ManagedIdentity/userAssignedIdentities/devai-dev-lab"
  node_identity = {
    id           = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.ManagedIdentity/userAssignedIdentities/devai-dev-execution"
    client_id    = "00000000-0000-0000-0000-00000000000f"
    principal_id = "00000000-0000-0000-0000-00000000000d"
  }
  service_account = { namespace = "devai-azure-dev", name = "devai" }
}

run "cluster" {
  command = plan

  module {
    source = "../modules/kubernetes/azure"
  }

  assert {
    condition     = azurerm_kubernetes_cluster.this.api_server_access_profile[0].authorized_ip_ranges == toset(concat(var.allowed_cidrs, ["203.0.113.9/32"]))
    error_message = "only the allowed networks and the nodes may connect to the API server"
  }

  assert {
    condition     = azurerm_kubernetes_cluster.this.workload_identity_enabled && azurerm_kubernetes_cluster.this.oidc_issuer_enabled
    error_message = "pods must have identities"
  }

  assert {
    condition     = azurerm_kubernetes_cluster.this.network_profile[0].network_policy == "cilium" && azurerm_kubernetes_cluster.this.network_profile[0].network_data_plane == "cilium"
    error_message = "network policies must be enforced"
  }

  assert {
    condition     = alltrue([for end in [azurerm_network_security_rule.pods.source_address_prefix, azurerm_network_security_rule.pods.destination_address_prefix] : end == azurerm_kubernetes_cluster.this.network_profile[0].pod_cidr])
    error_message = "pods must be able to connect to pods on other nodes"
  }

  assert {
    condition     = azurerm_network_security_rule.pods.network_security_group_name == "workload" && azurerm_network_security_rule.pods.access == "Allow" && azurerm_network_security_rule.pods.protocol == "*" && azurerm_network_security_rule.pods.destination_port_range == "*"
    error_message = "the nodes' security group must allow all protocols and ports between pods"
  }

  assert {
    condition     = azurerm_kubernetes_cluster.this.storage_profile[0].file_driver_enabled
    error_message = "the driver of Azure Files must be enabled"
  }

  assert {
    condition     = endswith(azurerm_kubernetes_cluster.this.ingress_application_gateway[0].gateway_id, "/applicationGateways/devai-prod")
    error_message = "the ingress controller must manage the stack's gateway"
  }

  assert {
    condition     = azurerm_kubernetes_cluster.this.default_node_pool[0].vm_size == "Standard_D8s_v5" && azurerm_kubernetes_cluster.this.default_node_pool[0].max_count == 4
    error_message = "a node must have room for a lab and the model server"
  }

  assert {
    condition     = azurerm_federated_identity_credential.this.subject == "system:serviceaccount:devai-azure-dev:devai"
    error_message = "the lab's pods must have the lab's identity"
  }

  assert {
    condition     = azurerm_kubernetes_cluster.this.sku_tier == "Standard" && length(azurerm_kubernetes_cluster.this.default_node_pool[0].zones) == 3
    error_message = "a protected cluster must tolerate the failure of a zone"
  }

  assert {
    condition     = azurerm_kubernetes_cluster.this.azure_policy_enabled && azurerm_kubernetes_cluster.this.oms_agent[0].log_analytics_workspace_id == var.log_analytics_workspace_id
    error_message = "the cluster must be monitored"
  }

  assert {
    condition     = azurerm_monitor_data_collection_rule_association.this.target_resource_id == azurerm_kubernetes_cluster.this.id && azurerm_monitor_data_collection_rule_association.this.data_collection_rule_id == azurerm_monitor_data_collection_rule.this.id
    error_message = "the cluster must have a data collection rule"
  }

  assert {
    condition     = azurerm_monitor_data_collection_rule.this.destinations[0].log_analytics[0].workspace_resource_id == var.log_analytics_workspace_id && azurerm_monitor_data_collection_rule.this.data_flow[0].destinations[0] == azurerm_monitor_data_collection_rule.this.destinations[0].log_analytics[0].name
    error_message = "the data collection rule must send the containers' output to the stack's workspace"
  }

  assert {
    condition     = length(azurerm_kubernetes_cluster_node_pool.gpu) == 0
    error_message = "without GPUs in the configuration, none must be created"
  }
}

run "gpus" {
  command = plan

  module {
    source = "../modules/kubernetes/azure"
  }

  variables {
    enable_gpu = true
  }

  assert {
    condition     = azurerm_kubernetes_cluster_node_pool.gpu[0].vm_size == "Standard_NC4as_T4_v3" && azurerm_kubernetes_cluster_node_pool.gpu[0].gpu_driver == "Install"
    error_message = "nodes with GPUs must have the driver"
  }

  assert {
    condition     = alltrue([for pool in [azurerm_kubernetes_cluster.this.default_node_pool[0], azurerm_kubernetes_cluster_node_pool.gpu[0]] : pool.upgrade_settings[0].max_surge != null])
    error_message = "Azure's default must be set explicitly, so that the plan is empty after apply"
  }

  assert {
    condition     = azurerm_kubernetes_cluster_node_pool.gpu[0].node_taints == tolist(["nvidia.com/gpu=present:NoSchedule"]) && azurerm_kubernetes_cluster_node_pool.gpu[0].min_count == 0
    error_message = "nodes with GPUs must be reserved for pods that request one, and exist only then"
  }

  assert {
    condition     = azurerm_kubernetes_cluster.this.default_node_pool[0].vm_size == "Standard_D4s_v5"
    error_message = "other nodes must not be sized for the model server"
  }
}

run "size_above_maximum" {
  command = plan

  module {
    source = "../modules/kubernetes/azure"
  }

  variables {
    cpu = 200
  }

  expect_failures = [azurerm_kubernetes_cluster.this]
}
