locals {
  # User and group of the lab's image (Dockerfile).
  owner = { uid = 10001, gid = 0 }
}

resource "aws_efs_file_system" "this" {
  creation_token  = var.name
  encrypted       = true
  kms_key_id      = var.kms_key_arn
  throughput_mode = "elastic"
  tags            = merge(var.labels, { Name = var.name })

  lifecycle_policy {
    transition_to_ia = "AFTER_30_DAYS"
  }

  lifecycle_policy {
    transition_to_primary_storage_class = "AFTER_1_ACCESS"
  }

  protection {
    replication_overwrite = "ENABLED"
  }

  # Contains users' notebooks: only `inv tf.destroy --data` destroys this resource.
  lifecycle {
    prevent_destroy = true
  }
}

locals {
  # Tasks mount with the lab's role. Pods mount anonymously, so only the security group protects the files.
  mounting      = var.platform == "kubernetes" ? "*" : "arn:aws:iam::${var.account}:root"
  access_points = sort([for point in aws_efs_access_point.this : point.arn])
}

# Files are accessible only with TLS, through a mount target and the stack's access points; an access point maps all
# clients to the lab's user. The second Deny is for principals of this account whose own policies allow more than the
# Allow below. A mount without an access point has no AccessPointArn, so StringNotEquals is true.
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
  count = length(var.subnet_ids)

  file_system_id  = aws_efs_file_system.this.id
  subnet_id       = var.subnet_ids[count.index]
  security_groups = [var.security_group_id]
}

resource "aws_efs_access_point" "this" {
  for_each = toset(var.models_size_gb == null ? ["home"] : ["home", "models"])

  file_system_id = aws_efs_file_system.this.id
  tags           = merge(var.labels, { Name = each.key })

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

# EFS has no size limit: an alarm monitors the expected size.
resource "aws_cloudwatch_metric_alarm" "size" {
  alarm_name          = "${var.name}-storage-size"
  alarm_description   = "The lab's files are more than storage.home and storage.models of the configuration."
  namespace           = "AWS/EFS"
  metric_name         = "StorageBytes"
  dimensions          = { FileSystemId = aws_efs_file_system.this.id, StorageClass = "Total" }
  statistic           = "Maximum"
  period              = 3600
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = (var.storage_size_gb + coalesce(var.models_size_gb, 0)) * 1024 * 1024 * 1024
  tags                = var.labels
}
