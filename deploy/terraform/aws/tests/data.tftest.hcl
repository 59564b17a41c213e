# Registry, storage, secrets and roles.
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
    error_message = "tags must be immutable"
  }

  assert {
    condition     = one(aws_ecr_repository.this.image_tag_mutability_exclusion_filter[*].filter) == "buildcache*"
    error_message = "only tags of the build cache may be mutable"
  }

  assert {
    condition     = aws_ecr_repository.this.image_scanning_configuration[0].scan_on_push
    error_message = "images must be scanned on push"
  }

  assert {
    condition     = aws_ecr_repository.this.encryption_configuration[0].kms_key == var.kms_key_arn
    error_message = "images must be encrypted with the stack's key"
  }

  assert {
    condition     = length(jsondecode(aws_ecr_lifecycle_policy.this.policy).rules) == 2
    error_message = "old images must expire"
  }

  assert {
    condition     = output.address == "123456789012.dkr.ecr.eu-central-1.amazonaws.com/devai-dev"
    error_message = "the registry's address must not contain the image's name"
  }
}

run "files" {
  command = plan

  module {
    source = "../modules/storage/aws"
  }

  assert {
    condition     = aws_efs_file_system.this.encrypted && aws_efs_file_system.this.kms_key_id == var.kms_key_arn
    error_message = "files must be encrypted with the stack's key"
  }

  assert {
    condition     = contains([for statement in jsondecode(aws_efs_file_system_policy.this.policy).Statement : statement.Effect if statement.Sid == "EncryptedOnly"], "Deny")
    error_message = "mounts without TLS must be denied"
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(aws_efs_file_system_policy.this.policy).Statement : toset(flatten([statement.Condition.StringEquals["elasticfilesystem:AccessPointArn"]])) == toset([for point in aws_efs_access_point.this : point.arn]) if statement.Effect == "Allow"
    ])
    error_message = "the policy must allow mounts through the stack's access points only"
  }

  assert {
    condition = anytrue([
      for statement in jsondecode(aws_efs_file_system_policy.this.policy).Statement : statement.Principal.AWS == "*" && contains(statement.Action, "elasticfilesystem:ClientMount") && toset(flatten([statement.Condition.StringNotEquals["elasticfilesystem:AccessPointArn"]])) == toset([for point in aws_efs_access_point.this : point.arn]) if statement.Sid == "AccessPointsOnly" && statement.Effect == "Deny"
    ])
    error_message = "the policy must deny other mounts, even if a client's own policy allows them"
  }

  assert {
    condition     = aws_efs_backup_policy.this.backup_policy[0].status == "ENABLED"
    error_message = "files must be backed up"
  }

  assert {
    condition     = alltrue([for point in aws_efs_access_point.this : point.posix_user[0].uid == 10001 && point.posix_user[0].gid == 0])
    error_message = "files must belong to the lab's user ID"
  }

  assert {
    condition     = alltrue([for target in aws_efs_mount_target.this : target.security_groups == toset(["sg-storage"])])
    error_message = "the file system must use its security group"
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.size.threshold == 80 * 1024 * 1024 * 1024
    error_message = "EFS has no size limit: the alarm's threshold must be the sum of both sizes"
  }
}

run "no_volume_for_models_without_model_server" {
  command = plan

  module {
    source = "../modules/storage/aws"
  }

  variables {
    models_size_gb = null
  }

  assert {
    condition     = keys(aws_efs_access_point.this)[0] == "home" && length(aws_efs_access_point.this) == 1 && output.volumes.models == null
    error_message = "there must be no volume for models without a model server"
  }
}

run "secrets" {
  command = plan

  module {
    source = "../modules/secrets/aws"
  }

  assert {
    condition     = alltrue([for secret in aws_secretsmanager_secret.this : secret.kms_key_id == var.kms_key_arn && secret.tags == tomap(var.labels)])
    error_message = "secrets must be encrypted with the stack's key"
  }

  assert {
    condition     = aws_secretsmanager_secret_version.this["OPENAI_API_KEY"].secret_string_wo_version == 3
    error_message = "a higher version must write the value again"
  }

  assert {
    condition     = alltrue([for version in aws_secretsmanager_secret_version.this : version.secret_string == null])
    error_message = "the plan must not contain values"
  }
}

run "secret_without_value" {
  command = plan

  module {
    source = "../modules/secrets/aws"
  }

  variables {
    secret_values = { JUPYTER_TOKEN = "canary" }
  }

  assert {
    condition     = aws_secretsmanager_secret_version.this["OPENAI_API_KEY"].secret_string_wo_version == 3
    error_message = "a secret without a value must keep its version in the cloud"
  }
}

run "task_roles" {
  command = plan

  module {
    source = "../modules/identity/aws"
  }

  assert {
    condition     = jsondecode(aws_iam_role.this["lab"].assume_role_policy).Statement[0].Condition.StringEquals["aws:SourceAccount"] == "123456789012"
    error_message = "only tasks of this account may assume the role"
  }

  assert {
    condition = alltrue(flatten([for policy in aws_iam_role_policy.this : [
      for statement in jsondecode(policy.policy).Statement : !contains(flatten([statement.Resource]), "*") || flatten([statement.Action]) == ["ecr:GetAuthorizationToken"]
    ]]))
    error_message = "every permission must be limited to a resource, except for the one that AWS supports without"
  }

  assert {
    condition     = !strcontains(aws_iam_role_policy.this["lab"].policy, "secretsmanager")
    error_message = "on ECS, the lab's role must not read secrets, because ECS passes them to the task"
  }

  assert {
    condition     = !strcontains(aws_iam_role_policy.this["execution"].policy, "elasticfilesystem")
    error_message = "the execution role must not have access to files"
  }
}

run "pod_roles" {
  command = plan

  module {
    source = "../modules/identity/aws"
  }

  variables {
    platform = "kubernetes"
  }

  assert {
    condition     = jsondecode(aws_iam_role.this["lab"].assume_role_policy).Statement[0].Principal.Service == "pods.eks.amazonaws.com"
    error_message = "only pods may assume the lab's role"
  }

  assert {
    condition     = length(aws_iam_role_policy_attachment.node) == 2 && length(aws_iam_role_policy.this) == 1
    error_message = "nodes must have the policies that EKS requires"
  }
}
