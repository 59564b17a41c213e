locals {
  kubernetes = var.platform == "kubernetes"
  # The service that may assume each role: ECS for tasks of this account, or EKS Pod Identity for pods, and EC2 for
  # nodes.
  trusted = {
    lab       = local.kubernetes ? "pods.eks.amazonaws.com" : "ecs-tasks.amazonaws.com"
    execution = local.kubernetes ? "ec2.amazonaws.com" : "ecs-tasks.amazonaws.com"
  }
  from_tasks = {
    StringEquals = { "aws:SourceAccount" = var.account }
    ArnLike      = { "aws:SourceArn" = "arn:aws:ecs:${var.region}:${var.account}:*" }
  }
  read_secrets = [
    {
      Effect   = "Allow"
      Action   = ["secretsmanager:GetSecretValue"]
      Resource = values(var.secrets)
    },
    {
      Effect   = "Allow"
      Action   = ["kms:Decrypt"]
      Resource = [var.kms_key_arn]
    },
  ]
  pull = [
    {
      Effect = "Allow"
      Action = ["ecr:GetAuthorizationToken"]
      # This action supports no resource.
      Resource = ["*"]
    },
    {
      Effect   = "Allow"
      Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
      Resource = [var.registry_id]
    },
  ]
  write_logs = [{
    Effect   = "Allow"
    Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    Resource = ["${var.log_group_arn}:*"]
  }]
  mount = [{
    Effect   = "Allow"
    Action   = ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"]
    Resource = ["arn:aws:elasticfilesystem:${var.region}:${var.account}:file-system/${var.file_system}"]
  }]
  policies = {
    # The lab: its files and, on Kubernetes, its secrets. On ECS, the execution role passes secrets to the task.
    lab = local.kubernetes ? concat(local.mount, local.read_secrets) : local.mount
    # ECS, which starts the lab: image, secrets and logs. Nodes have AWS-managed policies instead.
    execution = local.kubernetes ? [] : concat(local.pull, local.read_secrets, local.write_logs)
  }
}

resource "aws_iam_role" "this" {
  for_each = local.trusted

  name = "${var.name}-${each.key}"
  tags = var.labels

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [merge(
      {
        Effect    = "Allow"
        Action    = each.value == "pods.eks.amazonaws.com" ? ["sts:AssumeRole", "sts:TagSession"] : ["sts:AssumeRole"]
        Principal = { Service = each.value }
      },
      { for name, value in { Condition = local.from_tasks } : name => value if each.value == "ecs-tasks.amazonaws.com" },
    )]
  })
}

resource "aws_iam_role_policy" "this" {
  for_each = { for name, statements in local.policies : name => statements if length(statements) > 0 }

  name   = "lab"
  role   = aws_iam_role.this[each.key].id
  policy = jsonencode({ Version = "2012-10-17", Statement = each.value })
}

# Required by nodes of Auto Mode. Add-ons are in AWS's registries, so pulling is not limited to one repository.
resource "aws_iam_role_policy_attachment" "node" {
  for_each = toset(local.kubernetes ? ["AmazonEKSWorkerNodeMinimalPolicy", "AmazonEC2ContainerRegistryPullOnly"] : [])

  role       = aws_iam_role.this["execution"].name
  policy_arn = "arn:aws:iam::aws:policy/${each.key}"
}
