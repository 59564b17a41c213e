locals {
  # What the lab's image runs as: see the Dockerfile.
  owner = { uid = 10001, gid = 0 }
}

resource "aws_efs_file_system" "this" {
  creation_token  = var.stack.name
  encrypted       = true
  kms_key_id      = var.stack.vault
  throughput_mode = "elastic"
  tags            = merge(var.stack.labels, { Name = var.stack.name })

  lifecycle_policy {
    transition_to_ia = "AFTER_30_DAYS"
  }

  lifecycle_policy {
    transition_to_primary_storage_class = "AFTER_1_ACCESS"
  }

  protection {
    replication_overwrite = "ENABLED"
  }

  # People's notebooks: `inv tf.destroy --data` says how to take the latch off.
  lifecycle {
    prevent_destroy = true
  }
}

locals {
  # Tasks mount as the lab's role. Pods mount as nobody: what stands before the files is their firewall.
  mounting      = var.platform == "kubernetes" ? "*" : "arn:aws:iam::${var.stack.account}:root"
  access_points = sort([for point in aws_efs_access_point.this : point.arn])
}

# The files are reached with TLS, through the network and by the stack's access points only; these make every client the
# lab's own account. Principals of this account need no Allow here where a policy of their own has one: hence the second
# Deny. A mount without an access point has no such key, and StringNotEquals holds for it.
resource "aws_efs_file_system_policy" "this" {
  file_system_id = aws_efs_file_system.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "EncryptedOnly"
        Effect    = "Deny"
        Principal = { AWS = "*" }
        Action    = "*"
        Resource  = aws_efs_file_system.this.arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        Sid       = "AccessPointsOnly"
        Effect    = "Deny"
        Principal = { AWS = "*" }
        Action    = [for verb in ["Mount", "Write", "RootAccess"] : "elasticfilesystem:Client${verb}"]
        Resource  = aws_efs_file_system.this.arn
        Condition = { StringNotEquals = { "elasticfilesystem:AccessPointArn" = local.access_points } }
      },
      {
        Sid       = "MountTargetsOnly"
        Effect    = "Allow"
        Principal = { AWS = local.mounting }
        Action    = ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"]
        Resource  = aws_efs_file_system.this.arn
        Condition = {
          Bool         = { "elasticfilesystem:AccessedViaMountTarget" = "true" }
          StringEquals = { "elasticfilesystem:AccessPointArn" = local.access_points }
        }
      },
    ]
  })
}

resource "aws_efs_backup_policy" "this" {
  file_system_id = aws_efs_file_system.this.id

  backup_policy {
    status = "ENABLED"
  }
}

resource "aws_efs_mount_target" "this" {
  count = length(var.network.subnets.endpoints)

  file_system_id  = aws_efs_file_system.this.id
  subnet_id       = var.network.subnets.endpoints[count.index]
  security_groups = [var.network.firewalls.storage]
}

resource "aws_efs_access_point" "this" {
  for_each = toset(var.models_size_gb == null ? ["home"] : ["home", "models"])

  file_system_id = aws_efs_file_system.this.id
  tags           = merge(var.stack.labels, { Name = each.key })

  posix_user {
    uid = local.owner.uid
    gid = local.owner.gid
  }

  root_directory {
    path = "/${each.key}"

    creation_info {
      owner_uid   = local.owner.uid
      owner_gid   = local.owner.gid
      permissions = "0770"
    }
  }
}

# EFS grows by itself: what the sizes ask for is watched.
resource "aws_cloudwatch_metric_alarm" "size" {
  alarm_name          = "${var.stack.name}-storage-size"
  alarm_description   = "The lab's files are more than storage.home and storage.models of the configuration."
  namespace           = "AWS/EFS"
  metric_name         = "StorageBytes"
  dimensions          = { FileSystemId = aws_efs_file_system.this.id, StorageClass = "Total" }
  statistic           = "Maximum"
  period              = 3600
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = (var.storage_size_gb + coalesce(var.models_size_gb, 0)) * 1024 * 1024 * 1024
  tags                = var.stack.labels
}
