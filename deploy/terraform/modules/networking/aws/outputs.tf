output "network" {
  description = "The network, its subnets by purpose, its firewalls by whom they protect, from where and at which port the load balancer reaches the lab, and by which addresses it goes out where they are fixed."
  value = {
    id = aws_vpc.this.id
    subnets = {
      workload  = [for zone in local.zones : aws_subnet.private[zone].id]
      gateway   = [for zone in local.zones : aws_subnet.public[zone].id]
      endpoints = [for zone in local.zones : aws_subnet.private[zone].id]
    }
    firewalls = {
      gateway  = aws_security_group.gateway.id
      workload = aws_security_group.workload.id
      storage  = aws_security_group.storage.id
    }
    source_cidrs = [for zone in local.zones : local.public[zone]]
    egress_cidrs = [for address in aws_eip.this : "${address.public_ip}/32"]
    port         = var.port
  }
  # What runs in a subnet wants its ways out and in for as long as it runs: a task that can't say that it has ended never
  # has, and its service can't be destroyed.
  depends_on = [
    aws_route_table_association.private,
    aws_route_table_association.public,
    aws_vpc_security_group_egress_rule.gateway,
    aws_vpc_security_group_egress_rule.workload,
    aws_vpc_security_group_ingress_rule.storage,
    aws_vpc_security_group_ingress_rule.workload,
  ]
}
