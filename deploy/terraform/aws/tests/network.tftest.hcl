# Who may reach what.
mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  name          = "devai-dev"
  account       = "123456789012"
  region        = "eu-central-1"
  log_group_arn = "arn:aws:logs:eu-central-1:123456789012:log-group:/devai/devai-dev"
  protected     = false
  labels        = { part-of = "devai" }
  platform      = "simple"
  allowed_cidrs = ["192.0.2.0/24", "198.51.100.0/24"]
  port          = 8888
}

run "open_to_the_allowed_networks_only" {
  command = plan

  module {
    source = "../modules/networking/aws"
  }

  assert {
    condition     = toset([for rule in aws_vpc_security_group_ingress_rule.gateway : rule.cidr_ipv4]) == toset(var.allowed_cidrs)
    error_message = "the load balancer answers the allowed networks, all of them and no others"
  }

  assert {
    condition     = toset([for rule in aws_vpc_security_group_ingress_rule.gateway : rule.from_port]) == toset([80, 443])
    error_message = "at the ports of HTTP and HTTPS"
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.workload.from_port == 8888 && aws_vpc_security_group_ingress_rule.workload.to_port == 8888
    error_message = "the lab is reached at its port and no other: Ollama's 11434 is closed"
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.workload.cidr_ipv4 == null && aws_vpc_security_group_ingress_rule.workload.referenced_security_group_id == "sg-made"
    error_message = "the lab is reached by the load balancer, not by a network"
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.storage.cidr_ipv4 == null && aws_vpc_security_group_ingress_rule.storage.from_port == 2049
    error_message = "files are reached by the lab only"
  }

  assert {
    condition     = length(aws_default_security_group.this.ingress) == 0 && length(aws_default_security_group.this.egress) == 0
    error_message = "the default group lets nothing through"
  }

  assert {
    condition     = length(aws_subnet.private) == 3 && length(distinct([for subnet in aws_subnet.private : subnet.availability_zone])) == 3
    error_message = "three zones"
  }

  assert {
    condition     = alltrue([for subnet in aws_subnet.public : subnet.map_public_ip_on_launch != true])
    error_message = "nothing gets a public address by itself"
  }

  assert {
    condition     = aws_flow_log.this.traffic_type == "ALL" && aws_flow_log.this.log_destination == var.log_group_arn
    error_message = "the network's traffic is logged"
  }

  assert {
    condition     = toset(flatten([for statement in jsondecode(aws_iam_role_policy.flow_log.policy).Statement : statement.Action])) == toset(["logs:CreateLogStream", "logs:DescribeLogGroups", "logs:DescribeLogStreams", "logs:PutLogEvents"])
    error_message = "by who may look for the group, and write into it"
  }

  assert {
    condition     = alltrue([for group in [aws_security_group.gateway, aws_security_group.workload, aws_security_group.storage] : group.tags == tomap(var.labels)])
    error_message = "labels are on all"
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 1
    error_message = "one way out is enough for a stack that isn't protected"
  }
}

run "protected_and_kubernetes" {
  command = plan

  module {
    source = "../modules/networking/aws"
  }

  variables {
    platform  = "kubernetes"
    protected = true
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 3
    error_message = "a protected stack outlives a zone"
  }

  assert {
    condition     = alltrue([for subnet in aws_subnet.public : subnet.tags["kubernetes.io/role/elb"] == "1"])
    error_message = "a cluster finds the subnets of its load balancers"
  }
}

run "a_region_with_two_zones" {
  command = plan

  module {
    source = "../modules/networking/aws"
  }

  override_data {
    target = data.aws_availability_zones.this
    values = { names = ["us-west-1a", "us-west-1c"] }
  }

  assert {
    condition     = toset([for subnet in aws_subnet.private : subnet.availability_zone]) == toset(["us-west-1a", "us-west-1c"]) && length(aws_subnet.public) == 2
    error_message = "two zones are enough"
  }

  assert {
    condition     = data.aws_availability_zones.this.exclude_zone_ids == toset(["use1-az3", "usw1-az2", "cac1-az3"])
    error_message = "not in a zone that EKS refuses"
  }
}
