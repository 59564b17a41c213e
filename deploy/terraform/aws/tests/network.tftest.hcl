# Firewall rules and subnets.
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

run "allowed_networks" {
  command = plan

  module {
    source = "../modules/networking/aws"
  }

  assert {
    condition     = toset([for rule in aws_vpc_security_group_ingress_rule.gateway : rule.cidr_ipv4]) == toset(var.allowed_cidrs)
    error_message = "only the allowed networks may connect to the load balancer"
  }

  assert {
    condition     = toset([for rule in aws_vpc_security_group_ingress_rule.gateway : rule.from_port]) == toset([80, 443])
    error_message = "the load balancer's ports must be those of HTTP and HTTPS"
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.workload.from_port == 8888 && aws_vpc_security_group_ingress_rule.workload.to_port == 8888
    error_message = "only the lab's port may be open; Ollama's port 11434 must be closed"
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.workload.cidr_ipv4 == null && aws_vpc_security_group_ingress_rule.workload.referenced_security_group_id == "sg-made"
    error_message = "only the load balancer may connect to the lab"
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.storage.cidr_ipv4 == null && aws_vpc_security_group_ingress_rule.storage.from_port == 2049
    error_message = "only the lab may connect to the file system"
  }

  assert {
    condition     = length(aws_default_security_group.this.ingress) == 0 && length(aws_default_security_group.this.egress) == 0
    error_message = "the default security group must have no rules"
  }

  assert {
    condition     = length(aws_subnet.private) == 3 && length(distinct([for subnet in aws_subnet.private : subnet.availability_zone])) == 3
    error_message = "private subnets must be in three zones"
  }

  assert {
    condition     = alltrue([for subnet in aws_subnet.public : subnet.map_public_ip_on_launch != true])
    error_message = "subnets must not assign public addresses automatically"
  }

  assert {
    condition     = aws_flow_log.this.traffic_type == "ALL" && aws_flow_log.this.log_destination == var.log_group_arn
    error_message = "all traffic of the network must be logged"
  }

  assert {
    condition     = toset(flatten([for statement in jsondecode(aws_iam_role_policy.flow_log.policy).Statement : statement.Action])) == toset(["logs:CreateLogStream", "logs:DescribeLogGroups", "logs:DescribeLogStreams", "logs:PutLogEvents"])
    error_message = "the role of the flow log may only find log groups and write to them"
  }

  assert {
    condition     = alltrue([for group in [aws_security_group.gateway, aws_security_group.workload, aws_security_group.storage] : group.tags == tomap(var.labels)])
    error_message = "resources must have the stack's labels"
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 1
    error_message = "a stack without protection must have one NAT gateway"
  }
}

run "protected_kubernetes" {
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
    error_message = "a protected stack must tolerate the failure of a zone"
  }

  assert {
    condition     = alltrue([for subnet in aws_subnet.public : subnet.tags["kubernetes.io/role/elb"] == "1"])
    error_message = "the subnets for load balancers must have the tag that the cluster looks for"
  }
}

run "region_with_two_zones" {
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
    error_message = "two zones must be sufficient"
  }

  assert {
    condition     = data.aws_availability_zones.this.exclude_zone_ids == toset(["use1-az3", "usw1-az2", "cac1-az3"])
    error_message = "zones that EKS does not support must be excluded"
  }
}
