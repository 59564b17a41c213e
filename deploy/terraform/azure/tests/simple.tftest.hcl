# Container Instances.
mock_provider "azurerm" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  name                   = "devai-dev"
  resource_group_name    = "devai-dev"
  region                 = "westeurope"
  subnet_id              = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.Network/virtualNetworks/devai-dev/subnets/workload"
  private_dns_zone_id    = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.Network/privateDnsZones/devai-dev.internal"
  labels                 = { part-of = "devai" }
  port                   = 8888
  base_url               = "/lab/"
  image                  = "registry.example.com/devai-lab@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  cpu                    = 2
  memory                 = 4096
  min_replicas           = 1
  max_replicas           = 1
  enable_gpu             = false
  environment_variables  = { DEVAI_STACK = "dev" }
  ollama                 = { image = "ollama/ollama:0.35.1", models = ["smollm2:135m"], keep_alive = "300s", cpu = 2, memory = 8192 }
  ollama_url             = ""
  gpu_machine_type       = "Standard_NC4as_T4_v3"
  secrets                = { JUPYTER_TOKEN = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.KeyVault/vaults/devaidev12345678/secrets/JUPYTER-TOKEN" }
  secret_versions        = { JUPYTER_TOKEN = "2" }
  lab_identity_id        = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.ManagedIdentity/userAssignedIdentities/devai-dev-lab"
  lab_identity_client_id = "00000000-0000-0000-0000-00000000000c"
  execution_identity_id  = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.ManagedIdentity/userAssignedIdentities/devai-dev-execution"
  file_system            = "devaidev12345678"
  volumes                = { home = "home", models = "models" }
  storage_key            = "canary"
}

run "group" {
  command = plan

  module {
    source = "../modules/compute/azure"
  }

  assert {
    condition     = azurerm_container_group.this.ip_address_type == "Private" && azurerm_container_group.this.subnet_ids == toset([var.subnet_id])
    error_message = "the container group must have a private address only"
  }

  assert {
    condition     = [for port in azurerm_container_group.this.exposed_port : port.port] == [8888]
    error_message = "Ollama must not publish a port"
  }

  assert {
    condition     = length(azurerm_container_group.this.container[1].ports) == 0 && azurerm_container_group.this.container[1].environment_variables["OLLAMA_HOST"] == "127.0.0.1:11434"
    error_message = "Ollama must listen on the container group's loopback address"
  }

  assert {
    condition     = azurerm_container_group.this.container[0].cpu == 2 && azurerm_container_group.this.container[0].memory == 4 && azurerm_container_group.this.container[1].memory == 8
    error_message = "sizes must be the configured ones, in GB"
  }

  assert {
    condition     = azurerm_container_group.this.image_registry_credential[0].user_assigned_identity_id == var.execution_identity_id && azurerm_container_group.this.image_registry_credential[0].password == null
    error_message = "the image must be pulled with an identity"
  }

  assert {
    condition     = jsondecode(azurerm_container_group.this.container[0].environment_variables["SECRETS"]).JUPYTER_TOKEN == "https://devaidev12345678.vault.azure.net/secrets/JUPYTER-TOKEN"
    error_message = "the token must come from the vault"
  }

  assert {
    condition     = contains([for name, value in azurerm_container_group.this.container[0].environment_variables : value if endswith(name, "_VERSIONS")], jsonencode(var.secret_versions))
    error_message = "a new version of a secret must replace the container group"
  }

  assert {
    condition     = alltrue([for container in azurerm_container_group.this.container : length(container.security) == 0])
    error_message = "container groups of the Standard SKU must not set `security`"
  }

  assert {
    condition     = azurerm_container_group.this.container[0].volume[0].share_name == "home" && azurerm_container_group.this.container[1].volume[0].share_name == "models"
    error_message = "home and models must be mounted in their own containers"
  }

  assert {
    condition     = azurerm_private_dns_a_record.this.records == toset(["10.42.0.4"])
    error_message = "the container group must have a DNS record for the gateway"
  }
}

run "fractional_gigabytes" {
  command = plan

  module {
    source = "../modules/compute/azure"
  }

  variables {
    cpu    = 0.5
    memory = 1536
  }

  assert {
    condition     = azurerm_container_group.this.container[0].cpu == 0.5 && azurerm_container_group.this.container[0].memory == 1.5
    error_message = "1536 MiB must be 1.5 GB"
  }
}

run "gpus_are_unsupported" {
  command = plan

  module {
    source = "../modules/compute/azure"
  }

  variables {
    enable_gpu = true
  }

  expect_failures = [azurerm_container_group.this]
}

run "replicas_are_unsupported" {
  command = plan

  module {
    source = "../modules/compute/azure"
  }

  variables {
    max_replicas = 2
  }

  expect_failures = [azurerm_container_group.this]
}

run "size_above_maximum" {
  command = plan

  module {
    source = "../modules/compute/azure"
  }

  variables {
    memory = 47683
  }

  expect_failures = [azurerm_container_group.this]
}
