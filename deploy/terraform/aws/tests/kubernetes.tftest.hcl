# EKS.
mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  name                      = "devai-dev"
  subnet_ids                = ["private-1", "private-2"]
  gateway_security_group_id = "sg-gateway"
  storage_security_group_id = "sg-storage"
  port                      = 8888
  kms_key_arn               = "arn:aws:kms:eu-central-1:123456789012:key/made"
  protected                 = true
  labels                    = { part-of = "devai" }
  allowed_cidrs             = ["192.0.2.0/24"]
  cpu                       = 2
  memory                    = 4096
  enable_gpu                = false
  gpu_machine_type          = "g6.xlarge"
  ollama                    = { cpu = 2, memory = 8192 }
  lab_identity_id           = "arn:aws:iam::123456789012:role/lab"
  node_identity_id          = "arn:aws:iam::123456789012:role/nodes"
  service_account           = { namespace = "devai-aws-dev", name = "devai" }
}

run "cluster" {
  command = plan

  module {
    source = "../modules/kubernetes/aws"
  }

  assert {
    condition     = aws_eks_cluster.this.vpc_config[0].public_access_cidrs == toset(var.allowed_cidrs) && aws_eks_cluster.this.vpc_config[0].endpoint_private_access
    error_message = "only the allowed networks may connect to the API server"
  }

  assert {
    condition     = aws_eks_cluster.this.encryption_config[0].resources == toset(["secrets"])
    error_message = "Kubernetes secrets must be encrypted with the stack's key"
  }

  assert {
    condition     = aws_eks_cluster.this.compute_config[0].enabled && aws_eks_cluster.this.kubernetes_network_config[0].elastic_load_balancing[0].enabled && aws_eks_cluster.this.storage_config[0].block_storage[0].enabled
    error_message = "Auto Mode requires all three capabilities"
  }

  assert {
    condition     = aws_eks_cluster.this.deletion_protection && length(aws_eks_cluster.this.enabled_cluster_log_types) == 5
    error_message = "a protected cluster must have deletion protection and all log types"
  }

  assert {
    condition     = aws_cloudwatch_log_group.this.name == "/aws/eks/${aws_eks_cluster.this.name}/cluster" && aws_cloudwatch_log_group.this.retention_in_days == 365 && aws_cloudwatch_log_group.this.kms_key_id == var.kms_key_arn
    error_message = "the cluster's logs must be encrypted with the stack's key, and expire"
  }

  assert {
    condition     = toset(keys(aws_eks_addon.this)) == toset(["metrics-server", "aws-efs-csi-driver"])
    error_message = "the add-ons must be those that the manifests need and Auto Mode does not include"
  }

  assert {
    condition     = aws_eks_pod_identity_association.this.namespace == "devai-aws-dev" && aws_eks_pod_identity_association.this.service_account == "devai" && aws_eks_pod_identity_association.this.role_arn == var.lab_identity_id
    error_message = "the lab's pods must have the lab's identity"
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.lab.referenced_security_group_id == "sg-gateway" && aws_vpc_security_group_ingress_rule.lab.from_port == 8888
    error_message = "the load balancer must be able to connect to the lab"
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.storage.security_group_id == "sg-storage" && aws_vpc_security_group_ingress_rule.storage.cidr_ipv4 == null
    error_message = "only the cluster may connect to the file system"
  }
}

run "instance_type_too_small" {
  command = plan

  module {
    source = "../modules/kubernetes/aws"
  }

  variables {
    enable_gpu = true
    memory     = 16384
  }

  expect_failures = [aws_eks_cluster.this]
}
