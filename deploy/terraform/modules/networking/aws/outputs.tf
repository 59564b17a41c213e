output "network" {
  description = "The VPC (`id`), its subnets (`private_subnet_ids`, `public_subnet_ids`), the security groups of load balancer, lab and file system (`gateway_security_group_id`, `workload_security_group_id`, `storage_security_group_id`), and the networks from which the load balancer connects to the lab (`load_balancer_cidrs`)."
  value = {
    id                         = aws_vpc.this.id
    private_subnet_ids         = [for zone in local.zones : aws_subnet.private[zone].id]
    public_subnet_ids          = [for zone in local.zones : aws_subnet.public[zone].id]
    gateway_security_group_id  = aws_security_group.gateway.id
    workload_security_group_id = aws_security_group.workload.id
    storage_security_group_id  = aws_security_group.storage.id
    load_balancer_cidrs        = [for zone in local.zones : local.public[zone]]
  }
  # Routes and rules must exist as long as anything runs in the subnets: destroying a service never finishes if its
  # tasks cannot report that they have stopped.
  depends_on = [
    aws_route_table_association.private,
    aws_route_table_association.public,
    aws_vpc_security_group_egress_rule.gateway,
    aws_vpc_security_group_egress_rule.workload,
    aws_vpc_security_group_ingress_rule.storage,
    aws_vpc_security_group_ingress_rule.workload,
  ]
}
