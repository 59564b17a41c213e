# Firewall rules and subnets.
mock_provider "google" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  name          = "devai-dev"
  account       = "example-project"
  region        = "europe-west1"
  platform      = "simple"
  allowed_cidrs = ["192.0.2.0/24", "198.51.100.0/24"]
  port          = 8888
}

run "allowed_networks" {
  command = plan

  module {
    source = "../modules/networking/gcp"
  }

  assert {
    condition     = toset(flatten([for rule in google_compute_security_policy.this.rule : [for match in rule.match : tolist(match.config[0].src_ip_ranges)] if rule.action == "allow"])) == toset(var.allowed_cidrs)
    error_message = "only the allowed networks may connect to the load balancer"
  }

  assert {
    condition     = one([for rule in google_compute_security_policy.this.rule : rule.action if rule.priority == 2147483647]) == "deny(403)"
    error_message = "all other clients must be denied"
  }

  assert {
    condition     = google_compute_firewall.lab.source_ranges == toset(["35.191.0.0/16", "130.211.0.0/22"]) && one(google_compute_firewall.lab.allow).ports == tolist(["8888"])
    error_message = "only Google's load balancers may connect to the lab, on the lab's port; Ollama's port 11434 must be closed"
  }

  assert {
    condition     = one(google_compute_firewall.rest.deny).protocol == "all" && google_compute_firewall.rest.source_ranges == toset(["0.0.0.0/0"])
    error_message = "all other incoming connections must be denied"
  }

  assert {
    condition     = google_compute_network.this.auto_create_subnetworks == false
    error_message = "the network must not create subnets automatically"
  }

  assert {
    condition     = google_compute_subnetwork.this.private_ip_google_access && google_compute_subnetwork.this.log_config[0].metadata == "INCLUDE_ALL_METADATA"
    error_message = "private access to Google's APIs and flow logs must be enabled"
  }

  assert {
    condition     = length(google_compute_subnetwork.this.secondary_ip_range) == 0
    error_message = "without a cluster, there must be no address ranges for pods"
  }
}

run "more_than_ten_allowed_networks" {
  command = plan

  module {
    source = "../modules/networking/gcp"
  }

  variables {
    allowed_cidrs = ["198.51.0.0/24", "198.51.1.0/24", "198.51.2.0/24", "198.51.3.0/24", "198.51.4.0/24", "198.51.5.0/24", "198.51.6.0/24", "198.51.7.0/24", "198.51.8.0/24", "198.51.9.0/24", "198.51.10.0/24"]
  }

  assert {
    condition     = alltrue([for rule in google_compute_security_policy.this.rule : length(rule.match[0].config[0].src_ip_ranges) <= 10]) && length(google_compute_security_policy.this.rule) == 3
    error_message = "a rule of Cloud Armor must have at most ten networks"
  }
}

run "cluster_network" {
  command = plan

  module {
    source = "../modules/networking/gcp"
  }

  variables {
    platform = "kubernetes"
  }

  assert {
    condition     = toset(google_compute_subnetwork.this.secondary_ip_range[*].range_name) == toset(["pods", "services"])
    error_message = "pods and services must have their own address ranges"
  }
}
