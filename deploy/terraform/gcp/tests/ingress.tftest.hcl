# The Application Load Balancer, its certificate and DNS records.
mock_provider "google" {
  source          = "./tests/mocks"
  override_during = plan
}

mock_provider "tls" {}

variables {
  name            = "devai-dev"
  account         = "example-project"
  region          = "europe-west1"
  platform        = "simple"
  security_policy = "devai-dev"
  base_url        = "/lab/"
  host_name       = "lab.example.com"
  dns_zone        = "example.com"
  certificate     = ""
  enable_https    = true
  protected       = false
  labels          = { part-of = "devai" }
}

run "load_balancer" {
  command = plan

  module {
    source = "../modules/ingress/gcp"
  }

  assert {
    condition     = google_compute_url_map.redirect[0].default_url_redirect[0].https_redirect && google_compute_global_forwarding_rule.this["80"].port_range == "80"
    error_message = "HTTP must redirect to HTTPS"
  }

  assert {
    condition     = google_compute_ssl_policy.this.min_tls_version == "TLS_1_2"
    error_message = "TLS 1.2 must be the minimum version"
  }

  assert {
    condition     = google_compute_backend_service.this[0].security_policy == "devai-dev"
    error_message = "the backend must use the security policy of the allowed networks"
  }

  assert {
    condition     = google_compute_region_network_endpoint_group.this[0].cloud_run[0].service == var.name
    error_message = "the endpoint group must refer to the service by name"
  }

  assert {
    condition     = google_certificate_manager_certificate.this[0].managed[0].domains == tolist(["lab.example.com"]) && google_compute_target_https_proxy.this[0].ssl_certificates == null
    error_message = "with a host name, the certificate must not be self-signed"
  }

  assert {
    condition     = google_compute_target_https_proxy.this[0].name == "devai-dev-managed"
    error_message = "a proxy with a certificate map must have its own name, because a proxy with certificates can't be changed to use a map"
  }

  assert {
    condition     = length(google_dns_record_set.this) == 2 && length(output.dns_records) == 0
    error_message = "the records for the address and for the certificate's validation must be in the zone"
  }

  assert {
    condition     = output.url == "https://lab.example.com/lab/"
    error_message = "the lab's URL must have the host name"
  }
}

run "without_https" {
  command = plan

  module {
    source = "../modules/ingress/gcp"
  }

  variables {
    enable_https = false
  }

  assert {
    condition     = length(google_compute_target_https_proxy.this) == 0 && keys(google_compute_global_forwarding_rule.this)[0] == "80" && output.certificate == null
    error_message = "without HTTPS, the only listener must be HTTP"
  }
}

run "without_zone" {
  command = plan

  module {
    source = "../modules/ingress/gcp"
  }

  variables {
    dns_zone = ""
  }

  assert {
    condition     = toset(output.dns_records[*].name) == toset(["lab.example.com", "_acme-challenge.lab.example.com."]) && length(google_dns_record_set.this) == 0
    error_message = "the output must list the records to create"
  }
}

run "without_host_name" {
  command = plan

  module {
    source = "../modules/ingress/gcp"
  }

  variables {
    host_name = ""
    dns_zone  = ""
  }

  assert {
    condition     = length(google_compute_ssl_certificate.this) == 1 && output.url == "https://203.0.113.7/lab/"
    error_message = "without a host name, the certificate must be self-signed"
  }

  assert {
    condition     = google_compute_target_https_proxy.this[0].name == "devai-dev"
    error_message = "a proxy without a certificate map must have another name than one with a map"
  }

  expect_failures = [check.trusted_certificate]
}

run "protected_without_host_name" {
  command = plan

  module {
    source = "../modules/ingress/gcp"
  }

  variables {
    host_name = ""
    dns_zone  = ""
    protected = true
  }

  expect_failures = [tls_self_signed_cert.this, check.trusted_certificate]
}

run "existing_certificate" {
  command = plan

  module {
    source = "../modules/ingress/gcp"
  }

  variables {
    certificate = "mine"
  }

  assert {
    condition     = google_compute_target_https_proxy.this[0].ssl_certificates == tolist(["projects/example-project/global/sslCertificates/mine"]) && length(google_certificate_manager_certificate.this) == 0
    error_message = "an existing certificate must be used, and none created"
  }
}

run "names_for_ingress" {
  command = plan

  module {
    source = "../modules/ingress/gcp"
  }

  variables {
    platform  = "kubernetes"
    protected = true
    base_url  = "/"
  }

  assert {
    condition     = output.address_name == "devai-dev" && output.certificate == null
    error_message = "the address must have the name in the ingress, and the ingress must create the certificate"
  }

  assert {
    condition     = google_compute_ssl_policy.this.name == output.address_name && google_compute_ssl_policy.this.min_tls_version == "TLS_1_2"
    error_message = "the TLS policy for the ingress must have the address's name and require TLS 1.2"
  }

  assert {
    condition     = length(google_compute_backend_service.this) == 0
    error_message = "the ingress must create the load balancer"
  }
}
