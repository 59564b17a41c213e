locals {
  # On Kubernetes, the cluster creates the load balancer for its ingress and, with a host name, the certificate.
  simple      = var.platform == "simple"
  self_signed = var.enable_https && var.certificate == "" && var.host_name == ""
  managed     = local.simple && var.enable_https && var.certificate == "" && var.host_name != ""
  # The certificate that the proxy or the ingress refers to: an existing one or the self-signed one.
  named = !var.enable_https || local.managed ? null : local.self_signed ? google_compute_ssl_certificate.this[0].name : var.certificate == "" ? null : var.certificate

  # A new host name needs a new certificate, which exists together with the old one until the old one is unused.
  unique = "${var.name}-${substr(sha1(var.host_name), 0, 8)}"

  scheme  = var.enable_https ? "https" : "http"
  address = google_compute_global_address.this.address
  # The default name of a zone in Cloud DNS.
  zone = replace(var.dns_zone, ".", "-")
  # Record of the DNS authorization: Google issues the certificate after this record is created.
  proof = try(google_certificate_manager_dns_authorization.this[0].dns_resource_record[0], null)
  records = concat(
    var.host_name == "" ? [] : [{ name = var.host_name, type = "A", value = local.address }],
    local.managed ? [{ name = local.proof.name, type = local.proof.type, value = local.proof.data }] : [],
  )
}

resource "google_compute_global_address" "this" {
  project = var.account
  name    = var.name
  labels  = var.labels
}

# --- Certificate ---

resource "google_certificate_manager_dns_authorization" "this" {
  count = local.managed ? 1 : 0

  project = var.account
  name    = local.unique
  domain  = var.host_name
  labels  = var.labels

  lifecycle {
    create_before_destroy = true
  }
}

resource "google_certificate_manager_certificate" "this" {
  count = local.managed ? 1 : 0

  project = var.account
  name    = local.unique
  labels  = var.labels

  managed {
    domains            = [var.host_name]
    dns_authorizations = [google_certificate_manager_dns_authorization.this[0].id]
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "google_certificate_manager_certificate_map" "this" {
  count = local.managed ? 1 : 0

  project = var.account
  name    = var.name
  labels  = var.labels

  # The proxy must release the map before its destruction; Terraform ensures this order only with create_before_destroy.
  lifecycle {
    create_before_destroy = true
  }
}

resource "google_certificate_manager_certificate_map_entry" "this" {
  count = local.managed ? 1 : 0

  project      = var.account
  name         = var.name
  map          = google_certificate_manager_certificate_map.this[0].name
  certificates = [google_certificate_manager_certificate.this[0].id]
  matcher      = "PRIMARY"
  labels       = var.labels

  lifecycle {
    create_before_destroy = true
  }
}

# The private key is stored in the state, because the provider has no write-only argument for it. The certificate is
# temporary.
resource "tls_private_key" "this" {
  count = local.self_signed ? 1 : 0

  algorithm   = "ECDSA"
  ecdsa_curve = "P256"
}

resource "tls_self_signed_cert" "this" {
  count = local.self_signed ? 1 : 0

  private_key_pem       = tls_private_key.this[0].private_key_pem
  dns_names             = ["${var.name}.invalid"]
  validity_period_hours = 8760
  early_renewal_hours   = 720
  allowed_uses          = ["digital_signature", "key_encipherment", "server_auth"]

  subject {
    common_name = "${var.name}.invalid"
  }

  lifecycle {
    precondition {
      condition     = !var.protected
      error_message = "A protected stack needs a host name for HTTPS. Set ingress.host."
    }
  }
}

resource "google_compute_ssl_certificate" "this" {
  count = local.self_signed ? 1 : 0

  project     = var.account
  name        = "${var.name}-${substr(sha1(tls_self_signed_cert.this[0].cert_pem), 0, 8)}"
  private_key = tls_private_key.this[0].private_key_pem
  certificate = tls_self_signed_cert.this[0].cert_pem

  lifecycle {
    create_before_destroy = true
  }
}

check "trusted_certificate" {
  assert {
    condition     = !local.self_signed
    error_message = "Browsers show a warning, because the certificate is self-signed. Set a host name (ingress.host)."
  }
}

# --- Load balancer ---

resource "google_compute_region_network_endpoint_group" "this" {
  count = local.simple ? 1 : 0

  project               = var.account
  region                = var.region
  name                  = var.name
  network_endpoint_type = "SERVERLESS"

  # Refers to the service by name, because the service is created later.
  cloud_run {
    service = var.name
  }
}

# Cloud Run's request timeout applies, not the load balancer's.
resource "google_compute_backend_service" "this" {
  count = local.simple ? 1 : 0

  project                         = var.account
  name                            = var.name
  load_balancing_scheme           = "EXTERNAL_MANAGED"
  protocol                        = "HTTPS"
  security_policy                 = var.security_policy
  connection_draining_timeout_sec = 60

  backend {
    group = google_compute_region_network_endpoint_group.this[0].id
  }

  log_config {
    enable      = true
    sample_rate = 1
  }
}

resource "google_compute_url_map" "this" {
  count = local.simple ? 1 : 0

  project         = var.account
  name            = var.name
  default_service = google_compute_backend_service.this[0].id
}

resource "google_compute_url_map" "redirect" {
  count = local.simple && var.enable_https ? 1 : 0

  project = var.account
  name    = "${var.name}-redirect"

  default_url_redirect {
    https_redirect         = true
    strip_query            = false
    redirect_response_code = "MOVED_PERMANENTLY_DEFAULT"
  }

  # When HTTPS is disabled, the proxy of port 80 must release this URL map before its destruction.
  lifecycle {
    create_before_destroy = true
  }
}

# The cluster's ingress refers to this policy, which has the same name as the address. The policy also exists without
# HTTPS, at no cost: Terraform runs before the manifests are applied, while the cluster's load balancer still uses it.
resource "google_compute_ssl_policy" "this" {
  project         = var.account
  name            = google_compute_global_address.this.name
  profile         = "MODERN"
  min_tls_version = "TLS_1_2"
}

resource "google_compute_target_https_proxy" "this" {
  count = local.simple && var.enable_https ? 1 : 0

  project = var.account
  # Google refuses to change a proxy from certificates to a certificate map, because it would have neither in between.
  # Therefore each kind has its own proxy: the new one is created first, then the forwarding rule of port 443 uses it.
  name             = local.managed ? "${var.name}-managed" : var.name
  url_map          = google_compute_url_map.this[0].id
  ssl_policy       = google_compute_ssl_policy.this.id
  ssl_certificates = local.managed ? null : ["projects/${var.account}/global/sslCertificates/${local.named}"]
  certificate_map  = local.managed ? "//certificatemanager.googleapis.com/${google_certificate_manager_certificate_map.this[0].id}" : null

  depends_on = [google_certificate_manager_certificate_map_entry.this]

  lifecycle {
    create_before_destroy = true
  }
}

resource "google_compute_target_http_proxy" "this" {
  count = local.simple ? 1 : 0

  project = var.account
  name    = var.name
  url_map = var.enable_https ? google_compute_url_map.redirect[0].id : google_compute_url_map.this[0].id
}

resource "google_compute_global_forwarding_rule" "this" {
  for_each = local.simple ? merge(
    { 80 = google_compute_target_http_proxy.this[0].id },
    { for port in ["443"] : port => google_compute_target_https_proxy.this[0].id if var.enable_https },
  ) : {}

  project               = var.account
  name                  = "${var.name}-${each.key}"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  ip_address            = google_compute_global_address.this.id
  port_range            = each.key
  target                = each.value
  labels                = var.labels
}

# --- DNS ---

data "google_dns_managed_zone" "this" {
  count = var.dns_zone == "" ? 0 : 1

  project = var.account
  name    = local.zone
}

resource "google_dns_record_set" "this" {
  # The number of records is computed from inputs, because the records are known only after apply.
  count = var.dns_zone == "" ? 0 : (var.host_name == "" ? 0 : 1) + (local.managed ? 1 : 0)

  project      = var.account
  managed_zone = data.google_dns_managed_zone.this[0].name
  name         = "${trimsuffix(local.records[count.index].name, ".")}."
  type         = local.records[count.index].type
  ttl          = 300
  rrdatas      = [local.records[count.index].value]
}
