locals {
  # On kubernetes the cluster makes its own load balancer, from the ingress; with a host name its certificate, too.
  simple      = var.platform == "simple"
  self_signed = var.enable_https && var.certificate == "" && var.host_name == ""
  managed     = local.simple && var.enable_https && var.certificate == "" && var.host_name != ""
  # Certificates that the proxy and the ingress name: one that exists, or the self-signed one.
  named = !var.enable_https || local.managed ? null : local.self_signed ? google_compute_ssl_certificate.this[0].name : var.certificate == "" ? null : var.certificate

  # Another host name is another certificate, beside the first until nothing uses that any more.
  unique = "${var.stack.name}-${substr(sha1(var.host_name), 0, 8)}"

  scheme  = var.enable_https ? "https" : "http"
  address = google_compute_global_address.this.address
  # Cloud DNS proposes this name for a zone.
  zone = replace(var.dns_zone, ".", "-")
  # A record of the authorization: Google issues the certificate when it is there, whenever that is.
  proof = try(google_certificate_manager_dns_authorization.this[0].dns_resource_record[0], null)
  records = concat(
    var.host_name == "" ? [] : [{ name = var.host_name, type = "A", value = local.address }],
    local.managed ? [{ name = local.proof.name, type = local.proof.type, value = local.proof.data }] : [],
  )
}

resource "google_compute_global_address" "this" {
  project = var.stack.account
  name    = var.stack.name
  labels  = var.stack.labels
}

# --- Certificate ---

resource "google_certificate_manager_dns_authorization" "this" {
  count = local.managed ? 1 : 0

  project = var.stack.account
  name    = local.unique
  domain  = var.host_name
  labels  = var.stack.labels

  lifecycle {
    create_before_destroy = true
  }
}

resource "google_certificate_manager_certificate" "this" {
  count = local.managed ? 1 : 0

  project = var.stack.account
  name    = local.unique
  labels  = var.stack.labels

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

  project = var.stack.account
  name    = var.stack.name
  labels  = var.stack.labels

  # With another certificate it goes when the proxy has let it go: Terraform keeps to this order only where this is said.
  lifecycle {
    create_before_destroy = true
  }
}

resource "google_certificate_manager_certificate_map_entry" "this" {
  count = local.managed ? 1 : 0

  project      = var.stack.account
  name         = var.stack.name
  map          = google_certificate_manager_certificate_map.this[0].name
  certificates = [google_certificate_manager_certificate.this[0].id]
  matcher      = "PRIMARY"
  labels       = var.stack.labels

  lifecycle {
    create_before_destroy = true
  }
}

# Its key is in the state: Google has no write-only argument for it. It protects nothing but a first look.
resource "tls_private_key" "this" {
  count = local.self_signed ? 1 : 0

  algorithm   = "ECDSA"
  ecdsa_curve = "P256"
}

resource "tls_self_signed_cert" "this" {
  count = local.self_signed ? 1 : 0

  private_key_pem       = tls_private_key.this[0].private_key_pem
  dns_names             = ["${var.stack.name}.invalid"]
  validity_period_hours = 8760
  early_renewal_hours   = 720
  allowed_uses          = ["digital_signature", "key_encipherment", "server_auth"]

  subject {
    common_name = "${var.stack.name}.invalid"
  }

  lifecycle {
    precondition {
      condition     = !var.stack.protected
      error_message = "A protected stack needs a host name for HTTPS: set ingress.host."
    }
  }
}

resource "google_compute_ssl_certificate" "this" {
  count = local.self_signed ? 1 : 0

  project     = var.stack.account
  name        = "${var.stack.name}-${substr(sha1(tls_self_signed_cert.this[0].cert_pem), 0, 8)}"
  private_key = tls_private_key.this[0].private_key_pem
  certificate = tls_self_signed_cert.this[0].cert_pem

  lifecycle {
    create_before_destroy = true
  }
}

check "trusted_certificate" {
  assert {
    condition     = !local.self_signed
    error_message = "Browsers will warn: the certificate is self-signed until there is a host name (ingress.host)."
  }
}

# --- Load balancer ---

resource "google_compute_region_network_endpoint_group" "this" {
  count = local.simple ? 1 : 0

  project               = var.stack.account
  region                = var.stack.region
  name                  = var.stack.name
  network_endpoint_type = "SERVERLESS"

  # By its name: the service is made later.
  cloud_run {
    service = var.stack.name
  }
}

# How long a request may last is Cloud Run's to say, not the load balancer's.
resource "google_compute_backend_service" "this" {
  count = local.simple ? 1 : 0

  project                         = var.stack.account
  name                            = var.stack.name
  load_balancing_scheme           = "EXTERNAL_MANAGED"
  protocol                        = "HTTPS"
  security_policy                 = var.network.firewalls.gateway
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

  project         = var.stack.account
  name            = var.stack.name
  default_service = google_compute_backend_service.this[0].id
}

resource "google_compute_url_map" "redirect" {
  count = local.simple && var.enable_https ? 1 : 0

  project = var.stack.account
  name    = "${var.stack.name}-redirect"

  default_url_redirect {
    https_redirect         = true
    strip_query            = false
    redirect_response_code = "MOVED_PERMANENTLY_DEFAULT"
  }

  # Without HTTPS it goes when the proxy of port 80 has let it go.
  lifecycle {
    create_before_destroy = true
  }
}

# The ingress of kubernetes names it as it names the address. Without HTTPS it stays: Terraform comes before the manifests,
# so the cluster's load balancer would still use it; and it costs nothing.
resource "google_compute_ssl_policy" "this" {
  project         = var.stack.account
  name            = google_compute_global_address.this.name
  profile         = "MODERN"
  min_tls_version = "TLS_1_2"
}

resource "google_compute_target_https_proxy" "this" {
  count = local.simple && var.enable_https ? 1 : 0

  project = var.stack.account
  # Google refuses to change one from certificates to a map, for in between it would have neither. So the other kind is
  # another proxy: made first, then the rule of port 443 goes over to it.
  name             = local.managed ? "${var.stack.name}-managed" : var.stack.name
  url_map          = google_compute_url_map.this[0].id
  ssl_policy       = google_compute_ssl_policy.this.id
  ssl_certificates = local.managed ? null : ["projects/${var.stack.account}/global/sslCertificates/${local.named}"]
  certificate_map  = local.managed ? "//certificatemanager.googleapis.com/${google_certificate_manager_certificate_map.this[0].id}" : null

  depends_on = [google_certificate_manager_certificate_map_entry.this]

  lifecycle {
    create_before_destroy = true
  }
}

resource "google_compute_target_http_proxy" "this" {
  count = local.simple ? 1 : 0

  project = var.stack.account
  name    = var.stack.name
  url_map = var.enable_https ? google_compute_url_map.redirect[0].id : google_compute_url_map.this[0].id
}

resource "google_compute_global_forwarding_rule" "this" {
  for_each = local.simple ? merge(
    { 80 = google_compute_target_http_proxy.this[0].id },
    { for port in ["443"] : port => google_compute_target_https_proxy.this[0].id if var.enable_https },
  ) : {}

  project               = var.stack.account
  name                  = "${var.stack.name}-${each.key}"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  ip_address            = google_compute_global_address.this.id
  port_range            = each.key
  target                = each.value
  labels                = var.stack.labels
}

# --- Names ---

data "google_dns_managed_zone" "this" {
  count = var.dns_zone == "" ? 0 : 1

  project = var.stack.account
  name    = local.zone
}

resource "google_dns_record_set" "this" {
  # As many as there are records; what they say is known only later.
  count = var.dns_zone == "" ? 0 : (var.host_name == "" ? 0 : 1) + (local.managed ? 1 : 0)

  project      = var.stack.account
  managed_zone = data.google_dns_managed_zone.this[0].name
  name         = "${trimsuffix(local.records[count.index].name, ".")}."
  type         = local.records[count.index].type
  ttl          = 300
  rrdatas      = [local.records[count.index].value]
}
