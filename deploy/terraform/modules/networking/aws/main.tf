data "aws_availability_zones" "this" {
  #checkov:skip=CKV_AWS_394:the region is configurable; zones are the first three in which EKS is offered
  state = "available"
  # Zones without EKS (Amazon EKS, "Networking requirements for VPC and subnets").
  exclude_zone_ids = ["use1-az3", "usw1-az2", "cac1-az3"]

  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

locals {
  # A load balancer and a cluster require two zones; some regions have only two.
  zones = slice(data.aws_availability_zones.this.names, 0, min(3, length(data.aws_availability_zones.this.names)))
  # Private subnets are large, because each pod and each task has its own address.
  private = { for index, zone in local.zones : zone => cidrsubnet(var.cidr, 4, index) }
  public  = { for index, zone in local.zones : zone => cidrsubnet(var.cidr, 8, 240 + index) }
  # Zones with a NAT gateway: all if the stack is protected, so that it tolerates the failure of a zone; else one.
  nat_zones = var.protected ? local.zones : slice(local.zones, 0, 1)
  # Tags that EKS uses to find the subnets for load balancers.
  for_clusters = { for kind, role in { private = "internal-elb", public = "elb" } : kind => {
    for tag in ["kubernetes.io/role/${role}"] : tag => "1" if var.platform == "kubernetes"
  } }
}

resource "aws_vpc" "this" {
  cidr_block           = var.cidr
  enable_dns_hostnames = true
  tags                 = merge(var.labels, { Name = var.name })
}

# Without rules, because all resources have their own security groups.
resource "aws_default_security_group" "this" {
  vpc_id = aws_vpc.this.id
  tags   = var.labels
}

resource "aws_subnet" "private" {
  for_each = local.private

  vpc_id            = aws_vpc.this.id
  availability_zone = each.key
  cidr_block        = each.value
  tags              = merge(var.labels, { Name = "${var.name}-private-${each.key}" }, local.for_clusters.private)
}

# For load balancers and NAT gateways. Public addresses are not assigned automatically.
resource "aws_subnet" "public" {
  for_each = local.public

  vpc_id            = aws_vpc.this.id
  availability_zone = each.key
  cidr_block        = each.value
  tags              = merge(var.labels, { Name = "${var.name}-public-${each.key}" }, local.for_clusters.public)
}

resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id
  tags   = var.labels
}

resource "aws_eip" "this" {
  for_each = toset(local.nat_zones)

  domain = "vpc"
  tags   = var.labels
}

resource "aws_nat_gateway" "this" {
  for_each = toset(local.nat_zones)

  allocation_id = aws_eip.this[each.key].id
  subnet_id     = aws_subnet.public[each.key].id
  tags          = var.labels

  depends_on = [aws_internet_gateway.this]
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.this.id
  tags   = var.labels

  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway.this.id
  }
}

resource "aws_route_table" "private" {
  for_each = local.private

  vpc_id = aws_vpc.this.id
  tags   = var.labels

  route {
    cidr_block     = "0.0.0.0/0"
    nat_gateway_id = try(aws_nat_gateway.this[each.key], aws_nat_gateway.this[local.nat_zones[0]]).id
  }
}

resource "aws_route_table_association" "public" {
  for_each = local.public

  subnet_id      = aws_subnet.public[each.key].id
  route_table_id = aws_route_table.public.id
}

resource "aws_route_table_association" "private" {
  for_each = local.private

  subnet_id      = aws_subnet.private[each.key].id
  route_table_id = aws_route_table.private[each.key].id
}

# Image layers are pulled from S3 through this endpoint, because NAT gateways are charged by traffic.
resource "aws_vpc_endpoint" "s3" {
  vpc_id          = aws_vpc.this.id
  service_name    = "com.amazonaws.${var.region}.s3"
  route_table_ids = [for table in aws_route_table.private : table.id]
  tags            = var.labels
}

resource "aws_flow_log" "this" {
  vpc_id          = aws_vpc.this.id
  traffic_type    = "ALL"
  log_destination = var.log_group_arn
  iam_role_arn    = aws_iam_role.flow_log.arn
  tags            = var.labels
}

resource "aws_iam_role" "flow_log" {
  name = "${var.name}-flow-log"
  tags = var.labels

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "vpc-flow-logs.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = var.account } }
    }]
  })
}

resource "aws_iam_role_policy" "flow_log" {
  name = "write"
  role = aws_iam_role.flow_log.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
        Resource = "${var.log_group_arn}:*"
      },
      # The service lists the log groups before it writes (Amazon VPC, "IAM role for publishing flow logs to CloudWatch
      # Logs").
      {
        Effect   = "Allow"
        Action   = ["logs:DescribeLogGroups"]
        Resource = "arn:aws:logs:${var.region}:${var.account}:log-group:*"
      },
    ]
  })
}

# The load balancer accepts connections from the allowed networks, and connects to the lab.
resource "aws_security_group" "gateway" {
  #checkov:skip=CKV2_AWS_5:the ingress module attaches it; on Kubernetes, the ingress refers to it
  name        = "${var.name}-gateway"
  description = "Load balancer of the lab"
  vpc_id      = aws_vpc.this.id
  tags        = var.labels
}

resource "aws_vpc_security_group_ingress_rule" "gateway" {
  for_each = { for pair in setproduct(var.allowed_cidrs, [80, 443]) : "${pair[0]}-${pair[1]}" => pair }

  security_group_id = aws_security_group.gateway.id
  description       = "Allowed network"
  cidr_ipv4         = each.value[0]
  from_port         = each.value[1]
  to_port           = each.value[1]
  ip_protocol       = "tcp"
  tags              = var.labels
}

resource "aws_vpc_security_group_egress_rule" "gateway" {
  security_group_id = aws_security_group.gateway.id
  description       = "The lab"
  cidr_ipv4         = var.cidr
  from_port         = var.port
  to_port           = var.port
  ip_protocol       = "tcp"
  tags              = var.labels
}

# The lab accepts connections from the load balancer only. Ollama has no rule: it is used inside the task or the
# cluster.
resource "aws_security_group" "workload" {
  #checkov:skip=CKV2_AWS_5:the compute module attaches it
  name        = "${var.name}-workload"
  description = "Lab"
  vpc_id      = aws_vpc.this.id
  tags        = var.labels
}

resource "aws_vpc_security_group_ingress_rule" "workload" {
  security_group_id            = aws_security_group.workload.id
  description                  = "Load balancer"
  referenced_security_group_id = aws_security_group.gateway.id
  from_port                    = var.port
  to_port                      = var.port
  ip_protocol                  = "tcp"
  tags                         = var.labels
}

resource "aws_vpc_security_group_egress_rule" "workload" {
  security_group_id = aws_security_group.workload.id
  description       = "Packages, models and whatever a notebook asks for"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "-1"
  tags              = var.labels
}

resource "aws_security_group" "storage" {
  #checkov:skip=CKV2_AWS_5:the storage module attaches it
  name        = "${var.name}-storage"
  description = "File system of the lab"
  vpc_id      = aws_vpc.this.id
  tags        = var.labels
}

resource "aws_vpc_security_group_ingress_rule" "storage" {
  security_group_id            = aws_security_group.storage.id
  description                  = "NFS from the lab"
  referenced_security_group_id = aws_security_group.workload.id
  from_port                    = 2049
  to_port                      = 2049
  ip_protocol                  = "tcp"
  tags                         = var.labels
}
