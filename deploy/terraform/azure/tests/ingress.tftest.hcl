# The Application Gateway, its certificate and DNS records.
mock_provider "azurerm" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  name                       = "devai-dev"
  unique_name                = "devaidev12345678"
  resource_group_name        = "devai-dev"
  region                     = "westeurope"
  platform                   = "simple"
  network_id                 = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.Network/virtualNetworks/devai-dev"
  subnet_id                  = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.Network/virtualNetworks/devai-dev/subnets/gateway"
  port                       = 8888
  base_url                   = "/lab/"
  host_name                  = "lab.example.com"
  dns_zone                   = "example.com"
  certificate                = "https://mine.vault.azure.net/secrets/lab"
  enable_https               = true
  key_vault_id               = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.KeyVault/vaults/devaidev12345678"
  log_analytics_workspace_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/devai-dev/providers/Microsoft.OperationalInsights/workspaces/devai-dev"
  protected                  = false
  labels                     = { part-of = "devai" }
}

run "gateway" {
  command = plan

  module {
    source = "../modules/ingress/azure"
  }

  assert {
    condition     = one([for rule in azurerm_application_gateway.simple[0].request_routing_rule : rule.redirect_configuration_name if rule.http_listener_name == "redirect"]) == "redirect"
    error_message = "HTTP must redirect to HTTPS"
  }

  assert {
    condition     = one(azurerm_application_gateway.simple[0].redirect_configuration).redirect_type == "Permanent"
    error_message = "the redirect must be permanent"
  }

  assert {
    condition     = azurerm_application_gateway.simple[0].ssl_policy[0].policy_name == "AppGwSslPolicy20220101S"
    error_message = "TLS 1.2 must be the minimum version"
  }

  assert {
    condition     = one(azurerm_application_gateway.simple[0].backend_http_settings).request_timeout == 3600
    error_message = "connections must stay open for an hour without output of a kernel"
  }

  assert {
    condition     = one(azurerm_application_gateway.simple[0].backend_http_settings).cookie_based_affinity == "Enabled"
    error_message = "a cookie must keep a browser on the same container"
  }

  assert {
    condition     = one(azurerm_application_gateway.simple[0].probe).path == "/lab/api"
    error_message = "the health check must use a path that needs no token"
  }

  assert {
    condition     = one(azurerm_application_gateway.simple[0].ssl_certificate).key_vault_secret_id == "https://mine.vault.azure.net/secrets/lab"
    error_message = "the certificate must refer to the vault without a version, so that renewals are used"
  }

  assert {
    condition     = one(azurerm_application_gateway.simple[0].backend_address_pool).fqdns == toset(["lab.devai-dev.internal"])
    error_message = "the backend must be the container group's DNS name"
  }

  assert {
    condition     = azurerm_dns_a_record.this[0].name == "lab" && length(output.dns_records) == 0
    error_message = "the record must be in the zone"
  }

  assert {
    condition     = output.url == "https://lab.example.com/lab/" && length(azurerm_key_vault_certificate.this) == 0
    error_message = "with an existing certificate, none must be created"
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
    error_message = "without HTTPS, the only listener must be HTTP"
  }
}

run "without_host_name" {
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
    error_message = "without a host name, the vault must create a self-signed certificate"
  }

  assert {
    condition     = endswith(azurerm_role_assignment.certificate[0].scope, "/secrets/self-signed")
    error_message = "the gateway may read only that secret"
  }

  expect_failures = [check.trusted_certificate]
}

run "protected_without_certificate" {
  command = plan

  module {
    source = "../modules/ingress/azure"
  }

  variables {
    certificate = ""
    protected   = true
  }

  expect_failures = [azurerm_key_vault_certificate.this, check.trusted_certificate]
}

run "without_zone" {
  command = plan

  module {
    source = "../modules/ingress/azure"
  }

  variables {
    dns_zone = ""
  }

  assert {
    condition     = jsonencode(output.dns_records) == jsonencode([{ name = "lab.example.com", type = "A", value = "203.0.113.7" }])
    error_message = "the output must list the record to create"
  }
}

run "gateway_for_ingress_controller" {
  command = plan

  module {
    source = "../modules/ingress/azure"
  }

  variables {
    platform  = "kubernetes"
    protected = true
    base_url  = "/"
  }

  assert {
    condition     = length(azurerm_application_gateway.simple) == 0 && one(azurerm_application_gateway.kubernetes[0].ssl_certificate).name == "lab" && output.certificate_name == "lab"
    error_message = "the gateway must have the certificate under the name in the ingress"
  }

  assert {
    condition     = output.private_dns_zone_id == null && output.url == "https://lab.example.com/"
    error_message = "the URL must be that of the ingress"
  }
}
