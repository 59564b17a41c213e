# Two callers, one after the other. Mocked values are the same in both runs only for applied resources.
mock_provider "azurerm" {
  source = "./tests/mocks"
}

variables {
  name                  = "devai-dev"
  unique                = "devaidev0123abcd"
  project_name          = "devai"
  project_id            = "abcdefghijkl"
  environment           = "dev"
  region                = "westeurope"
  account               = "00000000-0000-0000-0000-000000000000"
  protected             = true
  labels                = { part-of = "devai" }
  compute_platform      = "simple"
  image                 = "devaidev12345678.azurecr.io/devai-lab@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  port                  = 8888
  base_url              = "/"
  host_name             = "lab.example.com"
  dns_zone              = "example.com"
  certificate           = "https://mine.vault.azure.net/secrets/lab"
  enable_https          = true
  allowed_cidrs         = ["192.0.2.0/24"]
  cpu                   = 2
  memory                = 4096
  storage_size_gb       = 1024
  min_replicas          = 1
  max_replicas          = 1
  enable_gpu            = false
  gpu_machine_type      = "Standard_NC4as_T4_v3"
  namespace             = "devai-azure-dev"
  environment_variables = { DEVAI_STACK = "azure-dev" }
  secret_versions       = { JUPYTER_TOKEN = 1 }
  secret_values         = { JUPYTER_TOKEN = "canary" }
  ollama                = { image = "ollama/ollama:0.35.1", models = ["smollm2:135m"], keep_alive = "300s", storage_size_gb = 50, cpu = 2, memory = 8192 }
  ollama_url            = ""
}

run "first_caller" {
  plan_options {
    target = [azurerm_role_assignment.operator]
  }
}

run "later_caller" {
  command = plan

  plan_options {
    target = [azurerm_role_assignment.operator]
  }

  override_data {
    target = data.azurerm_client_config.this
    values = { tenant_id = "00000000-0000-0000-0000-00000000000a", object_id = "00000000-0000-0000-0000-0000000000ff" }
  }

  assert {
    condition     = alltrue([for role in azurerm_role_assignment.operator : role.principal_id == "00000000-0000-0000-0000-00000000000b"])
    error_message = "a later caller's plan must not replace the role assignments"
  }
}

run "protection_removed" {
  command = plan

  variables {
    protected = false
  }

  plan_options {
    target = [azurerm_key_vault.this]
  }

  assert {
    condition     = azurerm_key_vault.this.purge_protection_enabled && azurerm_key_vault.this.soft_delete_retention_days == 90
    error_message = "the plan must not request changes of a vault that Azure refuses"
  }
}
