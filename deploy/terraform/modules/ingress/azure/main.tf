locals {
  simple      = var.platform == "simple"
  self_signed = var.enable_https && var.certificate == ""
  # Without a version, so that the gateway uses each renewed certificate.
  certificate = !var.enable_https ? null : local.self_signed ? azurerm_key_vault_certificate.this[0].versionless_secret_id : var.certificate
  scheme      = var.enable_https ? "https" : "http"
  port        = var.enable_https ? 443 : 80
  address     = azurerm_public_ip.this.ip_address
  # Private zone with a name for the container group, whose address changes whenever the group is replaced.
  backend = "${var.name}.internal"
  record  = var.host_name == var.dns_zone ? "@" : trimsuffix(var.host_name, ".${var.dns_zone}")

  gateway = try(azurerm_application_gateway.simple[0], azurerm_application_gateway.kubernetes[0])
}

# --- Certificate ---

# Created in the vault, so that the private key is not stored in the state.
resource "azurerm_key_vault_certificate" "this" {
  count = local.self_signed ? 1 : 0

  name         = "self-signed"
  key_vault_id = var.key_vault_id
  tags         = var.labels

  certificate_policy {
    issuer_parameters {
      name = "Self"
    }

    key_properties {
      exportable = true
      key_type   = "RSA"
      key_size   = 2048
      reuse_key  = false
    }

    secret_properties {
      content_type = "application/x-pkcs12"
    }

    lifetime_action {
      action {
        action_type = "AutoRenew"
      }

      trigger {
        days_before_expiry = 30
      }
    }

    x509_certificate_properties {
      subject            = "CN=${coalesce(var.host_name, "${var.name}.invalid")}"
      validity_in_months = 12
      key_usage          = ["digitalSignature", "keyEncipherment"]
      extended_key_usage = ["1.3.6.1.5.5.7.3.1"] # server authentication

      subject_alternative_names {
        dns_names = [coalesce(var.host_name, "${var.name}.invalid")]
      }
    }
  }

  lifecycle {
    precondition {
      condition     = !var.protected
      error_message = "A protected stack needs a host name and its certificate in a Key Vault, because Azure issues no certificates for gateways. Set ingress.host and terraform.certificate."
    }
  }
}

check "trusted_certificate" {
  assert {
    condition     = !local.self_signed
    error_message = "Browsers show a warning, because the certificate is self-signed. Set terraform.certificate to a certificate in a Key Vault."
  }
}

resource "azurerm_user_assigned_identity" "this" {
  name                = "${var.name}-gateway"
  resource_group_name = var.resource_group_name
  location            = var.region
  tags                = var.labels
}

# For an existing certificate, the owner of its vault assigns this role to the gateway's identity.
resource "azurerm_role_assignment" "certificate" {
  count = local.self_signed ? 1 : 0

  scope                = "${var.key_vault_id}/secrets/${azurerm_key_vault_certificate.this[0].name}"
  role_definition_name = "Key Vault Secrets User"
  principal_id         = azurerm_user_assigned_identity.this.principal_id
  principal_type       = "ServicePrincipal"
}

# --- Load balancer ---

resource "azurerm_public_ip" "this" {
  name                = "${var.name}-gateway"
  resource_group_name = var.resource_group_name
  location            = var.region
  allocation_method   = "Static"
  sku                 = "Standard"
  domain_name_label   = var.unique_name
  tags                = var.labels
}

# Standard_v2 has no web application firewall: its rules would block notebooks, because code in them looks like attacks.
resource "azurerm_application_gateway" "simple" {
  #checkov:skip=CKV_AZURE_120:a web application firewall would block notebooks, whose code looks like attacks; the network security group accepts only the allowed networks
  #checkov:skip=CKV_AZURE_217:the listener of port 80 redirects to HTTPS unless tls.enabled is false
  count = local.simple ? 1 : 0

  name                = var.name
  resource_group_name = var.resource_group_name
  location            = var.region
  http2_enabled       = true
  tags                = var.labels

  sku {
    name = "Standard_v2"
    tier = "Standard_v2"
  }

  autoscale_configuration {
    min_capacity = 0
    max_capacity = 2
  }

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.this.id]
  }

  gateway_ip_configuration {
    name      = "gateway"
    subnet_id = var.subnet_id
  }

  frontend_ip_configuration {
    name                 = "public"
    public_ip_address_id = azurerm_public_ip.this.id
  }

  dynamic "frontend_port" {
    for_each = toset([80, local.port])

    content {
      name = "port-${frontend_port.value}"
      port = frontend_port.value
    }
  }

  dynamic "ssl_certificate" {
    for_each = var.enable_https ? [local.certificate] : []

    content {
      name                = "lab"
      key_vault_secret_id = ssl_certificate.value
    }
  }

  ssl_policy {
    policy_type = "Predefined"
    policy_name = "AppGwSslPolicy20220101S" # TLS 1.2 and 1.3
  }

  backend_address_pool {
    name  = "lab"
    fqdns = ["lab.${local.backend}"]
  }

  # A kernel may produce no output for an hour, and runs in one container.
  backend_http_settings {
    name                  = "lab"
    port                  = var.port
    protocol              = "Http"
    cookie_based_affinity = "Enabled"
    request_timeout       = 3600
    probe_name            = "lab"

    connection_draining {
      enabled           = true
      drain_timeout_sec = 60
    }
  }

  # `/` redirects, and all other paths require the token.
  probe {
    name                = "lab"
    host                = "lab"
    path                = "${var.base_url}api"
    protocol            = "Http"
    interval            = 15
    timeout             = 5
    unhealthy_threshold = 3

    match {
      status_code = ["200"]
    }
  }

  http_listener {
    name                           = "lab"
    frontend_ip_configuration_name = "public"
    frontend_port_name             = "port-${local.port}"
    protocol                       = var.enable_https ? "Https" : "Http"
    ssl_certificate_name           = var.enable_https ? "lab" : null
  }

  request_routing_rule {
    name                       = "lab"
    priority                   = 100
    rule_type                  = "Basic"
    http_listener_name         = "lab"
    backend_address_pool_name  = "lab"
    backend_http_settings_name = "lab"
  }

  dynamic "http_listener" {
    for_each = var.enable_https ? ["redirect"] : []

    content {
      name                           = http_listener.value
      frontend_ip_configuration_name = "public"
      frontend_port_name             = "port-80"
      protocol                       = "Http"
    }
  }

  dynamic "request_routing_rule" {
    for_each = var.enable_https ? ["redirect"] : []

    content {
      name                        = request_routing_rule.value
      priority                    = 200
      rule_type                   = "Basic"
      http_listener_name          = "redirect"
      redirect_configuration_name = "redirect"
    }
  }

  dynamic "redirect_configuration" {
    for_each = var.enable_https ? ["redirect"] : []

    content {
      name                 = redirect_configuration.value
      redirect_type        = "Permanent"
      target_listener_name = "lab"
      include_path         = true
      include_query_string = true
    }
  }

  depends_on = [azurerm_role_assignment.certificate]
}

# The same gateway with placeholders: the cluster's ingress controller configures it, and Terraform ignores the changes.
resource "azurerm_application_gateway" "kubernetes" {
  #checkov:skip=CKV_AZURE_120:a web application firewall would block notebooks, whose code looks like attacks; the network security group accepts only the allowed networks
  #checkov:skip=CKV_AZURE_217:the ingress controller replaces the placeholder by the real listeners
  count = local.simple ? 0 : 1

  name                = var.name
  resource_group_name = var.resource_group_name
  location            = var.region
  http2_enabled       = true
  tags                = var.labels

  sku {
    name = "Standard_v2"
    tier = "Standard_v2"
  }

  autoscale_configuration {
    min_capacity = 0
    max_capacity = 2
  }

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.this.id]
  }

  gateway_ip_configuration {
    name      = "gateway"
    subnet_id = var.subnet_id
  }

  frontend_ip_configuration {
    name                 = "public"
    public_ip_address_id = azurerm_public_ip.this.id
  }

  frontend_port {
    name = "port-80"
    port = 80
  }

  dynamic "ssl_certificate" {
    for_each = var.enable_https ? [local.certificate] : []

    content {
      name                = "lab"
      key_vault_secret_id = ssl_certificate.value
    }
  }

  ssl_policy {
    policy_type = "Predefined"
    policy_name = "AppGwSslPolicy20220101S"
  }

  backend_address_pool {
    name = "placeholder"
  }

  backend_http_settings {
    name                  = "placeholder"
    port                  = var.port
    protocol              = "Http"
    cookie_based_affinity = "Enabled"
  }

  http_listener {
    name                           = "placeholder"
    frontend_ip_configuration_name = "public"
    frontend_port_name             = "port-80"
    protocol                       = "Http"
  }

  request_routing_rule {
    name                       = "placeholder"
    priority                   = 100
    rule_type                  = "Basic"
    http_listener_name         = "placeholder"
    backend_address_pool_name  = "placeholder"
    backend_http_settings_name = "placeholder"
  }

  lifecycle {
    ignore_changes = [
      backend_address_pool, backend_http_settings, frontend_port, http_listener, probe, redirect_configuration,
      request_routing_rule, rewrite_rule_set, tags, url_path_map,
    ]
  }

  depends_on = [azurerm_role_assignment.certificate]
}

resource "azurerm_monitor_diagnostic_setting" "this" {
  name                       = "access"
  target_resource_id         = local.gateway.id
  log_analytics_workspace_id = var.log_analytics_workspace_id

  enabled_log {
    category = "ApplicationGatewayAccessLog"
  }
}

# --- DNS ---

resource "azurerm_private_dns_zone" "this" {
  count = local.simple ? 1 : 0

  name                = local.backend
  resource_group_name = var.resource_group_name
  tags                = var.labels
}

resource "azurerm_private_dns_zone_virtual_network_link" "this" {
  count = local.simple ? 1 : 0

  name                = var.name
  private_dns_zone_id = azurerm_private_dns_zone.this[0].id
  virtual_network_id  = var.network_id
  tags                = var.labels
}

data "azurerm_dns_zone" "this" {
  count = var.dns_zone == "" ? 0 : 1

  name = var.dns_zone
}

resource "azurerm_dns_a_record" "this" {
  count = var.dns_zone != "" && var.host_name != "" ? 1 : 0

  name                = local.record
  zone_name           = data.azurerm_dns_zone.this[0].name
  resource_group_name = data.azurerm_dns_zone.this[0].resource_group_name
  ttl                 = 300
  target_resource_id  = azurerm_public_ip.this.id
  tags                = var.labels
}
