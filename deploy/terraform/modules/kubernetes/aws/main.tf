# EKS Auto Mode: AWS manages nodes, disks, load balancers, DNS, GPU drivers and Pod Identity. Add-ons install everything
# else that the manifests need, in the default version for the cluster's version. The node pool with GPUs is a manifest
# (deploy/kubernetes/clusters/aws-gpu.yaml).
locals {
  auto_policies = [
    "AmazonEKSClusterPolicy",
    "AmazonEKSComputePolicy",
    "AmazonEKSBlockStoragePolicy",
    "AmazonEKSLoadBalancingPolicy",
    "AmazonEKSNetworkingPolicy",
  ]
  # Instances of g5, g6 and g6e have 4 cores per xlarge, and 4 GiB per core (g6e: 8 GiB). The larger of lab and Ollama
  # must fit.
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
  #checkov:skip=CKV_AWS_38:open to the allowed networks only, which for a protected stack never include all addresses
  #checkov:skip=CKV_AWS_39:manifests are applied from the allowed networks
  name                          = var.name
  role_arn                      = aws_iam_role.cluster.arn
  bootstrap_self_managed_addons = false
  deletion_protection           = var.protected
  enabled_cluster_log_types     = ["api", "audit", "authenticator", "controllerManager", "scheduler"]
  tags                          = var.labels

  access_config {
    authentication_mode                         = "API"
    bootstrap_cluster_creator_admin_permissions = true
  }

  compute_config {
    enabled       = true
    node_pools    = ["general-purpose", "system"]
    node_role_arn = var.node_identity_id
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
    subnet_ids              = var.subnet_ids
    endpoint_private_access = true
    endpoint_public_access  = true
    public_access_cidrs     = var.allowed_cidrs
  }

  encryption_config {
    resources = ["secrets"]

    provider {
      key_arn = var.kms_key_arn
    }
  }

  upgrade_policy {
    support_type = "STANDARD"
  }

  lifecycle {
    precondition {
      condition     = !var.enable_gpu || local.gpu_machine.cores > local.largest.cores && local.gpu_machine.gib > local.largest.gib
      error_message = "A ${var.gpu_machine_type} has ${local.gpu_machine.cores} cores and ${local.gpu_machine.gib} GiB, some of it reserved for the system: too little for ${local.largest.cores} cores and ${local.largest.gib} GiB."
    }
  }

  depends_on = [aws_iam_role_policy_attachment.cluster, aws_cloudwatch_log_group.this]
}

# Otherwise EKS creates the log group itself, without retention, key and tags.
resource "aws_cloudwatch_log_group" "this" {
  name              = "/aws/eks/${var.name}/cluster"
  retention_in_days = 365
  kms_key_id        = var.kms_key_arn
  tags              = var.labels
}

resource "aws_iam_role" "cluster" {
  name = "${var.name}-cluster"
  tags = var.labels

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
  for_each = toset(["metrics-server", "aws-efs-csi-driver"])

  cluster_name                = aws_eks_cluster.this.name
  addon_name                  = each.key
  resolve_conflicts_on_create = "OVERWRITE"
  tags                        = var.labels

  dynamic "pod_identity_association" {
    for_each = each.key == "aws-efs-csi-driver" ? ["efs-csi-controller-sa"] : []

    content {
      service_account = pod_identity_association.value
      role_arn        = aws_iam_role.efs.arn
    }
  }
}

resource "aws_iam_role" "efs" {
  name = "${var.name}-efs-csi"
  tags = var.labels

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

# Only the lab's pods have the lab's identity.
resource "aws_eks_pod_identity_association" "this" {
  cluster_name    = aws_eks_cluster.this.name
  namespace       = var.service_account.namespace
  service_account = var.service_account.name
  role_arn        = var.lab_identity_id
  tags            = var.labels
}

resource "aws_vpc_security_group_ingress_rule" "lab" {
  security_group_id            = aws_eks_cluster.this.vpc_config[0].cluster_security_group_id
  description                  = "Load balancer"
  referenced_security_group_id = var.gateway_security_group_id
  from_port                    = var.port
  to_port                      = var.port
  ip_protocol                  = "tcp"
  tags                         = var.labels
}

resource "aws_vpc_security_group_ingress_rule" "storage" {
  security_group_id            = var.storage_security_group_id
  description                  = "NFS from the cluster"
  referenced_security_group_id = aws_eks_cluster.this.vpc_config[0].cluster_security_group_id
  from_port                    = 2049
  to_port                      = 2049
  ip_protocol                  = "tcp"
  tags                         = var.labels
}
