output "network" {
  description = "The VPC network (`id`), its subnet (`subnet_id`), the network tag of the firewall rule for load balancers (`network_tag`), the Cloud Armor policy of the allowed networks (`security_policy`), and the networks from which load balancers connect to the lab (`load_balancer_cidrs`)."
  value = {
    id                  = google_compute_network.this.id
    subnet_id           = google_compute_subnetwork.this.id
    network_tag         = local.tag
    security_policy     = google_compute_security_policy.this.name
    load_balancer_cidrs = local.balancers
  }
  # Nodes pull images as soon as they start.
  depends_on = [google_compute_router_nat.this, google_compute_firewall.lab]
}
