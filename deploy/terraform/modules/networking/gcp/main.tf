locals {
  kubernetes = var.platform == "kubernetes"
  tag        = "${var.stack.name}-workload"
  ranges = {
    pods     = cidrsubnet(var.cidr, 2, 1)
    services = cidrsubnet(var.cidr, 4, 8)
  }
  # Google's load balancers and their health checks.
  balancers = ["35.191.0.0/16", "130.211.0.0/22"]
  # A rule of Cloud Armor takes ten networks.
  allowed = chunklist(var.allowed_cidrs, 10)
}

resource "google_compute_network" "this" {
  project                 = var.stack.account
  name                    = var.stack.name
  auto_create_subnetworks = false
}

resource "google_compute_subnetwork" "this" {
  project                  = var.stack.account
  region                   = var.stack.region
  name                     = var.stack.name
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
  project = var.stack.account
  region  = var.stack.region
  name    = var.stack.name
  network = google_compute_network.this.id
}

resource "google_compute_router_nat" "this" {
  project                            = var.stack.account
  region                             = var.stack.region
  name                               = var.stack.name
  router                             = google_compute_router.this.name
  nat_ip_allocate_option             = "AUTO_ONLY"
  source_subnetwork_ip_ranges_to_nat = "ALL_SUBNETWORKS_ALL_IP_RANGES"

  log_config {
    enable = true
    filter = "ERRORS_ONLY"
  }
}

# Google's network lets nothing in by itself; this says so, and logs who tries.
resource "google_compute_firewall" "rest" {
  project       = var.stack.account
  name          = "${var.stack.name}-rest"
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
  project       = var.stack.account
  name          = "${var.stack.name}-lab"
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

# Google's external load balancers have no firewall: who may connect is Cloud Armor's to say.
resource "google_compute_security_policy" "this" {
  #checkov:skip=CKV_GCP_73:nothing here is Java
  project = var.stack.account
  name    = var.stack.name

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
