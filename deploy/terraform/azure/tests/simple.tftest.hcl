# Container Instances behind their gateway.
mock_provider "azurerm" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  name                = "devai-dev"
  unique_name         = "devaidev12345678"
  account             = "00000000-0000-0000-0000-000000000000"
  resource_group_name = "devai-dev"
  region              = "westeurope"
  subnet_id           = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.Network/virtualNetworks/devai-dev/subnets/workload"
  private_dns_zone_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.Network/privateDnsZones/devai-dev.internal"
  protected           = false
  labels              = { part-of = "devai" }
  stack = {
    name      = "devai-dev"
    unique    = "devaidev12345678"
    account   = "00000000-0000-0000-0000-000000000000"
    region    = "westeurope"
    group     = "devai-dev"
    logs      = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.OperationalInsights/workspaces/devai-dev"
    vault     = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.KeyVault/vaults/devaidev12345678"
    protected = false
    labels    = { part-of = "devai" }
  }
  network = {
    id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.Network/virtualNetworks/devai-dev"
    subnets = {
      workload  = ["/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.Network/virtualNetworks/devai-dev/subnets/workload"]
      gateway   = ["/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.Network/virtualNetworks/devai-dev/subnets/gateway"]
      endpoints = ["/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.Network/virtualNetworks/devai-dev/subnets/endpoints"]
    }
    firewalls    = { gateway = "gateway", workload = "workload", storage = "endpoints" }
    source_cidrs = ["10.42.240.0/24"]
    egress_cidrs = ["203.0.113.9/32"]
    port         = 8888
  }
  platform               = "simple"
  port                   = 8888
  base_url               = "/lab/"
  host_name              = "lab.example.com"
  dns_zone               = "example.com"
  enable_https           = true
  image                  = "registry.example.com/devai-lab@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  cpu                    = 2
  memory                 = 4096
  min_replicas           = 1
  max_replicas           = 1
  enable_gpu             = false
  environment_variables  = { DEVAI_STACK = "dev" }
  ollama                 = { image = "ollama/ollama:0.35.1", models = ["smollm2:135m"], keep_alive = "300s", storage_size_gb = 50, cpu = 2, memory = 8192 }
  ollama_url             = ""
  certificate            = "https://mine.vault.azure.net/secrets/lab"
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
    error_message = "the group has a private address only"
  }

  assert {
    condition     = [for port in azurerm_container_group.this.exposed_port : port.port] == [8888]
    error_message = "Ollama publishes no port"
  }

  assert {
    condition     = length(azurerm_container_group.this.container[1].ports) == 0 && azurerm_container_group.this.container[1].environment_variables["OLLAMA_HOST"] == "127.0.0.1:11434"
    error_message = "Ollama listens on the group's own loopback"
  }

  assert {
    condition     = azurerm_container_group.this.container[0].cpu == 2 && azurerm_container_group.this.container[0].memory == 4 && azurerm_container_group.this.container[1].memory == 8
    error_message = "sizes are the configuration's, in GB"
  }

  assert {
    condition     = azurerm_container_group.this.image_registry_credential[0].user_assigned_identity_id == var.execution_identity_id && azurerm_container_group.this.image_registry_credential[0].password == null
    error_message = "the image is pulled by an identity"
  }

  assert {
    condition     = jsondecode(azurerm_container_group.this.container[0].environment_variables["SECRETS"]).JUPYTER_TOKEN == "https://devaidev12345678.vault.azure.net/secrets/JUPYTER-TOKEN"
    error_message = "the token comes from the vault"
  }

  assert {
    condition     = contains([for name, value in azurerm_container_group.this.container[0].environment_variables : value if endswith(name, "_VERSIONS")], jsonencode(var.secret_versions))
    error_message = "another version of it is another group"
  }

  assert {
    condition     = alltrue([for container in azurerm_container_group.this.container : length(container.security) == 0])
    error_message = "groups of the Standard SKU know no privileges, nor that there are none"
  }

  assert {
    condition     = azurerm_container_group.this.container[0].volume[0].share_name == "home" && azurerm_container_group.this.container[1].volume[0].share_name == "models"
    error_message = "home and models, each where it belongs"
  }

  assert {
    condition     = azurerm_private_dns_a_record.this.records == toset(["10.42.0.4"])
    error_message = "the gateway finds the group by a name"
  }
}

run "gigabytes_in_tenths" {
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
    error_message = "1536 MiB are 1.5 GB of Azure's"
  }
}

run "no_gpus" {
  command = plan

  module {
    source = "../modules/compute/azure"
  }

  variables {
    enable_gpu = true
  }

  expect_failures = [azurerm_container_group.this]
}

run "one_replica" {
  command = plan

  module {
    source = "../modules/compute/azure"
  }

  variables {
    max_replicas = 2
  }

  expect_failures = [azurerm_container_group.this]
}

run "more_than_a_group_has" {
  command = plan

  module {
    source = "../modules/compute/azure"
  }

  variables {
    memory = 47683
  }

  expect_failures = [azurerm_container_group.this]
}

run "gateway" {
  command = plan

  module {
    source = "../modules/ingress/azure"
  }

  assert {
    condition     = one([for rule in azurerm_application_gateway.simple[0].request_routing_rule : rule.redirect_configuration_name if rule.http_listener_name == "redirect"]) == "redirect"
    error_message = "HTTP is sent on to HTTPS"
  }

  assert {
    condition     = one(azurerm_application_gateway.simple[0].redirect_configuration).redirect_type == "Permanent"
    error_message = "for good"
  }

  assert {
    condition     = azurerm_application_gateway.simple[0].ssl_policy[0].policy_name == "AppGwSslPolicy20220101S"
    error_message = "TLS 1.2 or newer"
  }

  assert {
    condition     = one(azurerm_application_gateway.simple[0].backend_http_settings).request_timeout == 3600
    error_message = "a kernel may be quiet for an hour"
  }

  assert {
    condition     = one(azurerm_application_gateway.simple[0].backend_http_settings).cookie_based_affinity == "Enabled"
    error_message = "a person stays with one container"
  }

  assert {
    condition     = one(azurerm_application_gateway.simple[0].probe).path == "/lab/api"
    error_message = "health is asked where no token is needed"
  }

  assert {
    condition     = one(azurerm_application_gateway.simple[0].ssl_certificate).key_vault_secret_id == "https://mine.vault.azure.net/secrets/lab"
    error_message = "the certificate is the vault's, and takes each renewal"
  }

  assert {
    condition     = one(azurerm_application_gateway.simple[0].backend_address_pool).fqdns == toset(["lab.devai-dev.internal"])
    error_message = "the group is found by its name"
  }

  assert {
    condition     = azurerm_dns_a_record.this[0].name == "lab" && length(output.dns_records) == 0
    error_message = "the record is in the zone"
  }

  assert {
    condition     = output.url == "https://lab.example.com/lab/" && length(azurerm_key_vault_certificate.this) == 0
    error_message = "with a certificate none is made"
  }
}

run "without_https" {
  command = plan

  module {
    source = "../modules/ingress/azure"
  }

  variables {
    enable_https = false
  }

  assert {
    condition     = length(azurerm_application_gateway.simple[0].http_listener) == 1 && one(azurerm_application_gateway.simple[0].http_listener).protocol == "Http" && output.certificate == null
    error_message = "HTTP only, where HTTPS isn't wanted"
  }
}

run "without_a_host_name" {
  command = plan

  module {
    source = "../modules/ingress/azure"
  }

  variables {
    certificate = ""
    host_name   = ""
    dns_zone    = ""
  }

  assert {
    condition     = azurerm_key_vault_certificate.this[0].certificate_policy[0].issuer_parameters[0].name == "Self" && output.url == "https://devaidev12345678.westeurope.cloudapp.azure.com/lab/"
    error_message = "a first look is by a self-signed certificate, made inside the vault"
  }

  assert {
    condition     = endswith(azurerm_role_assignment.certificate[0].scope, "/secrets/self-signed")
    error_message = "the gateway reads that one secret"
  }

  expect_failures = [check.trusted_certificate]
}

run "protected_without_a_certificate" {
  command = plan

  module {
    source = "../modules/ingress/azure"
  }

  variables {
    certificate = ""
    stack       = merge(var.stack, { name = "devai-prod", unique = "devaiprod12345678", group = "devai-prod", protected = true })
  }

  expect_failures = [azurerm_key_vault_certificate.this, check.trusted_certificate]
}

run "without_a_zone" {
  command = plan

  module {
    source = "../modules/ingress/azure"
  }

  variables {
    dns_zone = ""
  }

  assert {
    condition     = jsonencode(output.dns_records) == jsonencode([{ name = "lab.example.com", type = "A", value = "203.0.113.7" }])
    error_message = "the record to make is named"
  }
}
