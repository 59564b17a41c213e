# Images, files, secrets and roles.
mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  name              = "devai-dev"
  account           = "123456789012"
  region            = "eu-central-1"
  kms_key_arn       = "arn:aws:kms:eu-central-1:123456789012:key/made"
  protected         = false
  labels            = { part-of = "devai" }
  subnet_ids        = ["private-1", "private-2"]
  security_group_id = "sg-storage"
  log_group_arn     = "arn:aws:logs:eu-central-1:123456789012:log-group:/devai/devai-dev"
  platform          = "simple"
  repository        = "devai-lab"
  storage_size_gb   = 50
  models_size_gb    = 30
  secret_versions   = { JUPYTER_TOKEN = 1, OPENAI_API_KEY = 3 }
  secret_values     = { JUPYTER_TOKEN = "canary", OPENAI_API_KEY = "canary" }
  registry_id       = "arn:aws:ecr:eu-central-1:123456789012:repository/devai-dev/devai-lab"
  file_system       = "fs-1"
  secrets           = { JUPYTER_TOKEN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:devai-dev/JUPYTER_TOKEN" }
}

run "registry" {
  command = plan

  module {
    source = "../modules/container-registry/aws"
  }

  assert {
    condition     = aws_ecr_repository.this.image_tag_mutability == "IMMUTABLE_WITH_EXCLUSION"
    error_message = "a tag never means another image"
  }

  assert {
    condition     = one(aws_ecr_repository.this.image_tag_mutability_exclusion_filter[*].filter) == "buildcache*"
    error_message = "but for the cache of builds"
  }

  assert {
    condition     = aws_ecr_repository.this.image_scanning_configuration[0].scan_on_push
    error_message = "images are scanned"
  }

  assert {
    condition     = aws_ecr_repository.this.encryption_configuration[0].kms_key == var.kms_key_arn
    error_message = "images are encrypted with the stack's key"
  }

  assert {
    condition     = length(jsondecode(aws_ecr_lifecycle_policy.this.policy).rules) == 2
    error_message = "old images go"
  }

  assert {
    condition     = output.address == "123456789012.dkr.ecr.eu-central-1.amazonaws.com/devai-dev"
    error_message = "the address is without the image's name"
  }
}

run "files" {
  command = plan

  module {
    source = "../modules/storage/aws"
  }

  assert {
    condition     = aws_efs_file_system.this.encrypted && aws_efs_file_system.this.kms_key_id == var.kms_key_arn
    error_message = "files are encrypted with the stack's key"
  }

  assert {
    condition     = contains([for statement in jsondecode(aws_efs_file_system_policy.this.policy).Statement : statement.Effect if statement.Sid == "EncryptedOnly"], "Deny")
    error_message = "nobody mounts without TLS"
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(aws_efs_file_system_policy.this.policy).Statement : toset(flatten([statement.Condition.StringEquals["elasticfilesystem:AccessPointArn"]])) == toset([for point in aws_efs_access_point.this : point.arn]) if statement.Effect == "Allow"
    ])
    error_message = "who is admitted comes by an access point of the stack"
  }

  assert {
    condition = anytrue([
      for statement in jsondecode(aws_efs_file_system_policy.this.policy).Statement : statement.Principal.AWS == "*" && contains(statement.Action, "elasticfilesystem:ClientMount") && toset(flatten([statement.Condition.StringNotEquals["elasticfilesystem:AccessPointArn"]])) == toset([for point in aws_efs_access_point.this : point.arn]) if statement.Sid == "AccessPointsOnly" && statement.Effect == "Deny"
    ])
    error_message = "and nobody else, whatever a policy of their own allows"
  }

  assert {
    condition     = aws_efs_backup_policy.this.backup_policy[0].status == "ENABLED"
    error_message = "files are backed up"
  }

  assert {
    condition     = alltrue([for point in aws_efs_access_point.this : point.posix_user[0].uid == 10001 && point.posix_user[0].gid == 0])
    error_message = "files belong to the lab's own account"
  }

  assert {
    condition     = alltrue([for target in aws_efs_mount_target.this : target.security_groups == toset(["sg-storage"])])
    error_message = "the file system is behind its firewall"
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.size.threshold == 80 * 1024 * 1024 * 1024
    error_message = "EFS has no size: both sizes together are the alarm's threshold"
  }
}

run "no_model_server_no_models" {
  command = plan

  module {
    source = "../modules/storage/aws"
  }

  variables {
    models_size_gb = null
  }

  assert {
    condition     = keys(aws_efs_access_point.this)[0] == "home" && length(aws_efs_access_point.this) == 1 && output.volumes.models == null
    error_message = "no volume for models that nobody serves"
  }
}

run "secrets" {
  command = plan

  module {
    source = "../modules/secrets/aws"
  }

  assert {
    condition     = alltrue([for secret in aws_secretsmanager_secret.this : secret.kms_key_id == var.kms_key_arn && secret.tags == tomap(var.labels)])
    error_message = "secrets are encrypted with the stack's key"
  }

  assert {
    condition     = aws_secretsmanager_secret_version.this["OPENAI_API_KEY"].secret_string_wo_version == 3
    error_message = "a raised version writes the value again"
  }

  assert {
    condition     = alltrue([for version in aws_secretsmanager_secret_version.this : version.secret_string == null])
    error_message = "no value is in the plan"
  }
}

run "secrets_of_which_one_is_set_elsewhere" {
  command = plan

  module {
    source = "../modules/secrets/aws"
  }

  variables {
    secret_values = { JUPYTER_TOKEN = "canary" }
  }

  assert {
    condition     = aws_secretsmanager_secret_version.this["OPENAI_API_KEY"].secret_string_wo_version == 3
    error_message = "a secret without a value here keeps the version that the cloud has"
  }
}

run "roles_of_tasks" {
  command = plan

  module {
    source = "../modules/identity/aws"
  }

  assert {
    condition     = jsondecode(aws_iam_role.this["lab"].assume_role_policy).Statement[0].Condition.StringEquals["aws:SourceAccount"] == "123456789012"
    error_message = "tasks of this account only"
  }

  assert {
    condition = alltrue(flatten([for policy in aws_iam_role_policy.this : [
      for statement in jsondecode(policy.policy).Statement : !contains(flatten([statement.Resource]), "*") || flatten([statement.Action]) == ["ecr:GetAuthorizationToken"]
    ]]))
    error_message = "every right names its resource, but for the one that AWS has without"
  }

  assert {
    condition     = !strcontains(aws_iam_role_policy.this["lab"].policy, "secretsmanager")
    error_message = "on ECS the lab itself reads no secrets: they are put into the task"
  }

  assert {
    condition     = !strcontains(aws_iam_role_policy.this["execution"].policy, "elasticfilesystem")
    error_message = "what starts the lab doesn't see its files"
  }
}

run "roles_of_pods" {
  command = plan

  module {
    source = "../modules/identity/aws"
  }

  variables {
    platform = "kubernetes"
  }

  assert {
    condition     = jsondecode(aws_iam_role.this["lab"].assume_role_policy).Statement[0].Principal.Service == "pods.eks.amazonaws.com"
    error_message = "the lab's role is for pods"
  }

  assert {
    condition     = length(aws_iam_role_policy_attachment.node) == 2 && length(aws_iam_role_policy.this) == 1
    error_message = "nodes have what EKS wants of them"
  }
}
