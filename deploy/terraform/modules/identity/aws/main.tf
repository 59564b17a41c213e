locals {
  kubernetes = var.platform == "kubernetes"
  # Who may take a role: tasks of this account's ECS, or pods by Pod Identity.
  trusted = {
    lab       = local.kubernetes ? "pods.eks.amazonaws.com" : "ecs-tasks.amazonaws.com"
    execution = local.kubernetes ? "ec2.amazonaws.com" : "ecs-tasks.amazonaws.com"
  }
  from_tasks = {
    StringEquals = { "aws:SourceAccount" = var.stack.account }
    ArnLike      = { "aws:SourceArn" = "arn:aws:ecs:${var.stack.region}:${var.stack.account}:*" }
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
      Resource = [var.stack.vault]
    },
  ]
  pull = [
    {
      Effect = "Allow"
      Action = ["ecr:GetAuthorizationToken"]
      # The service knows no resource for this one.
      Resource = ["*"]
    },
    {
      Effect   = "Allow"
      Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
      Resource = [var.registry]
    },
  ]
  write_logs = [{
    Effect   = "Allow"
    Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    Resource = ["${var.stack.logs}:*"]
  }]
  mount = [{
    Effect   = "Allow"
    Action   = ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"]
    Resource = ["arn:aws:elasticfilesystem:${var.stack.region}:${var.stack.account}:file-system/${var.file_system}"]
  }]
  policies = {
    # The lab itself: its files, and on kubernetes the secrets that ECS would put into the task.
    lab = local.kubernetes ? concat(local.mount, local.read_secrets) : local.mount
    # What starts it: pulls the image, puts the secrets into the task and writes its logs. Nodes have AWS's own policies.
    execution = local.kubernetes ? [] : concat(local.pull, local.read_secrets, local.write_logs)
  }
}

resource "aws_iam_role" "this" {
  for_each = local.trusted

  name = "${var.stack.name}-${each.key}"
  tags = var.stack.labels

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

# What a node of Auto Mode needs. Add-ons come from registries of AWS's own, so pulling is not for one registry only.
resource "aws_iam_role_policy_attachment" "node" {
  for_each = toset(local.kubernetes ? ["AmazonEKSWorkerNodeMinimalPolicy", "AmazonEC2ContainerRegistryPullOnly"] : [])

  role       = aws_iam_role.this["execution"].name
  policy_arn = "arn:aws:iam::aws:policy/${each.key}"
}
