# EKS in Auto Mode: nodes, disks, load balancers, DNS and Pod Identity are AWS's to run. What it lacks of what the
# manifests need comes as add-ons; their versions are those that AWS names for the cluster's when they are installed.
locals {
  auto_policies = [
    "AmazonEKSClusterPolicy",
    "AmazonEKSComputePolicy",
    "AmazonEKSBlockStoragePolicy",
    "AmazonEKSLoadBalancingPolicy",
    "AmazonEKSNetworkingPolicy",
  ]
  addons = merge(
    { "metrics-server" = null, "aws-efs-csi-driver" = null },
    # Nodes that are not Auto Mode's bring none of its parts.
    { for name, value in {
      "vpc-cni"                = jsonencode({ enableNetworkPolicy = "true" })
      "kube-proxy"             = null
      "coredns"                = null
      "eks-pod-identity-agent" = null
    } : name => value if var.enable_gpu },
  )
  disk_gib = 100 + ceil(try(var.ollama.storage_size_gb, 0))
  # Of g5, g6 and g6e: 4 cores to an xlarge; 4 GiB to a core, of g6e 8. The larger of lab and Ollama has to fit.
  gpu_size = split(".", var.gpu_machine_type)
  gpu_machine = {
    cores = 4 * coalesce(one(regexall("^[0-9]+", local.gpu_size[1])), "1")
    gib   = 4 * coalesce(one(regexall("^[0-9]+", local.gpu_size[1])), "1") * (local.gpu_size[0] == "g6e" ? 8 : 4)
  }
  largest = {
    cores = max(var.cpu, try(var.ollama.cpu, 0))
    gib   = max(var.memory, try(var.ollama.memory, 0)) / 1024
  }
}

resource "aws_eks_cluster" "this" {
  #checkov:skip=CKV_AWS_38:open to the allowed networks, which are never all of them for a protected stack
  #checkov:skip=CKV_AWS_39:people apply manifests from the allowed networks
  name                          = var.stack.name
  role_arn                      = aws_iam_role.cluster.arn
  bootstrap_self_managed_addons = false
  deletion_protection           = var.stack.protected
  enabled_cluster_log_types     = ["api", "audit", "authenticator", "controllerManager", "scheduler"]
  tags                          = var.stack.labels

  access_config {
    authentication_mode                         = "API"
    bootstrap_cluster_creator_admin_permissions = true
  }

  compute_config {
    enabled       = true
    node_pools    = ["general-purpose", "system"]
    node_role_arn = var.identity.execution.id
  }

  kubernetes_network_config {
    elastic_load_balancing {
      enabled = true
    }
  }

  storage_config {
    block_storage {
      enabled = true
    }
  }

  vpc_config {
    subnet_ids              = var.network.subnets.workload
    endpoint_private_access = true
    endpoint_public_access  = true
    public_access_cidrs     = var.allowed_cidrs
  }

  encryption_config {
    resources = ["secrets"]

    provider {
      key_arn = var.stack.vault
    }
  }

  upgrade_policy {
    support_type = "STANDARD"
  }

  depends_on = [aws_iam_role_policy_attachment.cluster]
}

resource "aws_iam_role" "cluster" {
  name = "${var.stack.name}-cluster"
  tags = var.stack.labels

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = ["sts:AssumeRole", "sts:TagSession"]
      Principal = { Service = "eks.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "cluster" {
  for_each = toset(local.auto_policies)

  role       = aws_iam_role.cluster.name
  policy_arn = "arn:aws:iam::aws:policy/${each.key}"
}

resource "aws_eks_addon" "this" {
  for_each = local.addons

  cluster_name                = aws_eks_cluster.this.name
  addon_name                  = each.key
  configuration_values        = each.value
  resolve_conflicts_on_create = "OVERWRITE"
  tags                        = var.stack.labels

  dynamic "pod_identity_association" {
    for_each = each.key == "aws-efs-csi-driver" ? ["efs-csi-controller-sa"] : []

    content {
      service_account = pod_identity_association.value
      role_arn        = aws_iam_role.efs.arn
    }
  }
}

resource "aws_iam_role" "efs" {
  name = "${var.stack.name}-efs-csi"
  tags = var.stack.labels

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = ["sts:AssumeRole", "sts:TagSession"]
      Principal = { Service = "pods.eks.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "efs" {
  role       = aws_iam_role.efs.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonEFSCSIDriverPolicy"
}

# The lab's pods, and no others, are the lab's identity.
resource "aws_eks_pod_identity_association" "this" {
  cluster_name    = aws_eks_cluster.this.name
  namespace       = var.workload.namespace
  service_account = var.workload.service_account
  role_arn        = var.identity.id
  tags            = var.stack.labels
}

resource "aws_vpc_security_group_ingress_rule" "lab" {
  security_group_id            = aws_eks_cluster.this.vpc_config[0].cluster_security_group_id
  description                  = "Load balancer"
  referenced_security_group_id = var.network.firewalls.gateway
  from_port                    = var.network.port
  to_port                      = var.network.port
  ip_protocol                  = "tcp"
  tags                         = var.stack.labels
}

resource "aws_vpc_security_group_ingress_rule" "storage" {
  security_group_id            = var.network.firewalls.storage
  description                  = "NFS from the cluster"
  referenced_security_group_id = aws_eks_cluster.this.vpc_config[0].cluster_security_group_id
  from_port                    = 2049
  to_port                      = 2049
  ip_protocol                  = "tcp"
  tags                         = var.stack.labels
}

# A role of their own: EKS knows those of Auto Mode's nodes as another kind.
resource "aws_iam_role" "gpu" {
  count = var.enable_gpu ? 1 : 0

  name = "${var.stack.name}-gpu"
  tags = var.stack.labels

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ec2.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "gpu" {
  for_each = toset(var.enable_gpu ? [
    "AmazonEKSWorkerNodePolicy",
    "AmazonEKS_CNI_Policy",
    "AmazonEC2ContainerRegistryPullOnly",
  ] : [])

  role       = aws_iam_role.gpu[0].name
  policy_arn = "arn:aws:iam::aws:policy/${each.key}"
}

# Bottlerocket's NVIDIA image holds the driver and the device plugin.
resource "aws_eks_node_group" "gpu" {
  count = var.enable_gpu ? 1 : 0

  cluster_name    = aws_eks_cluster.this.name
  node_group_name = "gpu"
  node_role_arn   = aws_iam_role.gpu[0].arn
  subnet_ids      = var.network.subnets.workload
  ami_type        = "BOTTLEROCKET_x86_64_NVIDIA"
  instance_types  = [var.gpu_machine_type]
  labels          = { "devai.io/gpu" = "true" }
  tags            = var.stack.labels

  launch_template {
    id      = aws_launch_template.gpu[0].id
    version = aws_launch_template.gpu[0].latest_version
  }

  scaling_config {
    min_size     = 1
    desired_size = 1
    max_size     = var.max_replicas
  }

  taint {
    key    = "nvidia.com/gpu"
    value  = "present"
    effect = "NO_SCHEDULE"
  }

  update_config {
    max_unavailable = 1
  }

  lifecycle {
    ignore_changes = [scaling_config[0].desired_size]

    precondition {
      condition     = local.gpu_machine.cores > local.largest.cores && local.gpu_machine.gib > local.largest.gib
      error_message = "A ${var.gpu_machine_type} has ${local.gpu_machine.cores} cores and ${local.gpu_machine.gib} GiB, part of them for the system: too few for ${local.largest.cores} cores and ${local.largest.gib} GiB."
    }
  }

  depends_on = [aws_eks_addon.this, aws_iam_role_policy_attachment.gpu]
}

resource "aws_launch_template" "gpu" {
  count = var.enable_gpu ? 1 : 0

  name = "${var.stack.name}-gpu"
  tags = var.stack.labels

  # Bottlerocket keeps images and what pods write on its second disk.
  block_device_mappings {
    device_name = "/dev/xvdb"

    ebs {
      volume_size = local.disk_gib
      volume_type = "gp3"
      encrypted   = true
    }
  }

  metadata_options {
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  tag_specifications {
    resource_type = "instance"
    tags          = merge(var.stack.labels, { Name = "${var.stack.name}-gpu" })
  }
}
