# The Application Load Balancer, its certificate and its names.
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
    error_message = "HTTP is sent on to HTTPS"
  }

  assert {
    condition     = google_compute_ssl_policy.this.min_tls_version == "TLS_1_2"
    error_message = "TLS 1.2 or newer"
  }

  assert {
    condition     = google_compute_backend_service.this[0].security_policy == "devai-dev"
    error_message = "Cloud Armor holds the allowed networks"
  }

  assert {
    condition     = google_compute_region_network_endpoint_group.this[0].cloud_run[0].service == var.name
    error_message = "the service is found by its name"
  }

  assert {
    condition     = google_certificate_manager_certificate.this[0].managed[0].domains == tolist(["lab.example.com"]) && google_compute_target_https_proxy.this[0].ssl_certificates == null
    error_message = "with a host name the certificate is a real one"
  }

  assert {
    condition     = google_compute_target_https_proxy.this[0].name == "devai-dev-managed"
    error_message = "a proxy with a map is another one than that with certificates, which can't become it"
  }

  assert {
    condition     = length(google_dns_record_set.this) == 2 && length(output.dns_records) == 0
    error_message = "its proof and the address are in the zone"
  }

  assert {
    condition     = output.url == "https://lab.example.com/lab/"
    error_message = "the lab is at its host name"
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
    error_message = "HTTP only, where HTTPS isn't wanted"
  }
}

run "without_a_zone" {
  command = plan

  module {
    source = "../modules/ingress/gcp"
  }

  variables {
    dns_zone = ""
  }

  assert {
    condition     = toset(output.dns_records[*].name) == toset(["lab.example.com", "_acme-challenge.lab.example.com."]) && length(google_dns_record_set.this) == 0
    error_message = "the records to make are named"
  }
}

run "without_a_host_name" {
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
    error_message = "a first look is by a self-signed certificate"
  }

  assert {
    condition     = google_compute_target_https_proxy.this[0].name == "devai-dev"
    error_message = "a host name, whose certificate is in a map, means another proxy"
  }

  expect_failures = [check.trusted_certificate]
}

run "protected_without_a_host_name" {
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

run "a_certificate_that_exists" {
  command = plan

  module {
    source = "../modules/ingress/gcp"
  }

  variables {
    certificate = "mine"
  }

  assert {
    condition     = google_compute_target_https_proxy.this[0].ssl_certificates == tolist(["projects/example-project/global/sslCertificates/mine"]) && length(google_certificate_manager_certificate.this) == 0
    error_message = "it is used, and none is made"
  }
}

run "names_for_the_ingress" {
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
    error_message = "the ingress finds its address, and makes its certificate"
  }

  assert {
    condition     = google_compute_ssl_policy.this.name == output.address_name && google_compute_ssl_policy.this.min_tls_version == "TLS_1_2"
    error_message = "it speaks TLS 1.2 or newer, by a policy that it finds"
  }

  assert {
    condition     = length(google_compute_backend_service.this) == 0
    error_message = "and its load balancer"
  }
}
