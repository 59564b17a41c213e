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
}
