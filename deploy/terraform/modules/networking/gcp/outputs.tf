output "network" {
  description = "The network, its subnets by purpose, its firewalls by whom they protect, from where and at which port the load balancer reaches the lab, and by which addresses it goes out where they are fixed."
  value = {
    id = google_compute_network.this.id
    subnets = {
      workload  = [google_compute_subnetwork.this.id]
      gateway   = []
      endpoints = [google_compute_subnetwork.this.id]
    }
    # A policy of Cloud Armor, and tags that rules of the network name.
    firewalls = {
      gateway  = google_compute_security_policy.this.name
      workload = local.tag
      storage  = local.tag
    }
    source_cidrs = local.balancers
    egress_cidrs = []
    port         = var.port
  }
  # Nodes and services start by pulling images.
  depends_on = [google_compute_router_nat.this, google_compute_firewall.lab]
}
