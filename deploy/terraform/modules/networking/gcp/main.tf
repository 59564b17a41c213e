locals {
  kubernetes = var.platform == "kubernetes"
  tag        = "${var.name}-workload"
  ranges = {
    pods     = cidrsubnet(var.cidr, 2, 1)
    services = cidrsubnet(var.cidr, 4, 8)
  }
  # Google's load balancers and their health checks.
  balancers = ["35.191.0.0/16", "130.211.0.0/22"]
  # A rule of Cloud Armor has at most ten networks.
  allowed = chunklist(var.allowed_cidrs, 10)
}

resource "google_compute_network" "this" {
  project                 = var.account
  name                    = var.name
  auto_create_subnetworks = false
}

resource "google_compute_subnetwork" "this" {
  project                  = var.account
  region                   = var.region
  name                     = var.name
  network                  = google_compute_network.this.id
  ip_cidr_range            = cidrsubnet(var.cidr, 4, 0)
  private_ip_google_access = true

  dynamic "secondary_ip_range" {
    for_each = local.kubernetes ? local.ranges : {}

    content {
      range_name    = secondary_ip_range.key
      ip_cidr_range = secondary_ip_range.value
    }
  }

  log_config {
    aggregation_interval = "INTERVAL_5_MIN"
    flow_sampling        = 0.5
    metadata             = "INCLUDE_ALL_METADATA"
  }
}

resource "google_compute_router" "this" {
  project = var.account
  region  = var.region
  name    = var.name
  network = google_compute_network.this.id
}

resource "google_compute_router_nat" "this" {
  project                            = var.account
  region                             = var.region
  name                               = var.name
  router                             = google_compute_router.this.name
  nat_ip_allocate_option             = "AUTO_ONLY"
  source_subnetwork_ip_ranges_to_nat = "ALL_SUBNETWORKS_ALL_IP_RANGES"

  log_config {
    enable = true
    filter = "ERRORS_ONLY"
  }
}

# Inbound connections are denied by default; this rule says so explicitly, and logs attempts.
resource "google_compute_firewall" "rest" {
  project       = var.account
  name          = "${var.name}-rest"
  network       = google_compute_network.this.id
  direction     = "INGRESS"
  priority      = 65534
  source_ranges = ["0.0.0.0/0"]

  deny {
    protocol = "all"
  }

  log_config {
    metadata = "INCLUDE_ALL_METADATA"
  }
}

resource "google_compute_firewall" "lab" {
  project       = var.account
  name          = "${var.name}-lab"
  network       = google_compute_network.this.id
  direction     = "INGRESS"
  priority      = 1000
  source_ranges = local.balancers
  target_tags   = [local.tag]

  allow {
    protocol = "tcp"
    ports    = [tostring(var.port)]
  }
}

# Firewall rules do not apply to external load balancers: Cloud Armor restricts their clients.
resource "google_compute_security_policy" "this" {
  #checkov:skip=CKV_GCP_73:a rule against Log4j attacks is not needed, because the lab does not use Java
  project = var.account
  name    = var.name

  dynamic "rule" {
    for_each = local.allowed

    content {
      action      = "allow"
      priority    = 1000 + rule.key
      description = "Allowed networks"

      match {
        versioned_expr = "SRC_IPS_V1"

        config {
          src_ip_ranges = rule.value
        }
      }
    }
  }

  rule {
    action      = "deny(403)"
    priority    = 2147483647
    description = "Everybody else"

    match {
      versioned_expr = "SRC_IPS_V1"

      config {
        src_ip_ranges = ["*"]
      }
    }
  }
}
