variable "name" {
  description = "Name of the stack, which its resources are named after."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,23}$", var.name))
    error_message = "name: 2 to 24 lowercase letters, digits and hyphens, beginning with a letter. With a suffix, it must fit into 32 characters, the limit of a target group (Elastic Load Balancing API, CreateTargetGroup)."
  }
}

variable "account" {
  description = "ID of the AWS account, 12 digits."
  type        = string
  nullable    = false
}

variable "platform" {
  description = "Platform of the lab: kubernetes (EKS) or simple (ECS)."
  type        = string
  nullable    = false

  validation {
    condition     = contains(["kubernetes", "simple"], var.platform)
    error_message = "platform: kubernetes or simple."
  }
}

variable "subnet_ids" {
  description = "IDs of the subnets of the mount targets, one in each availability zone."
  type        = list(string)
  nullable    = false
}

variable "security_group_id" {
  description = "ID of the security group of the mount targets."
  type        = string
  nullable    = false
}

variable "storage_size_gb" {
  description = "Expected size of the home, in GiB. EFS has no size limit: an alarm reports a larger size."
  type        = number
  nullable    = false

  validation {
    condition     = var.storage_size_gb >= 1
    error_message = "storage_size_gb: at least 1."
  }
}

variable "models_size_gb" {
  description = "Expected size of the models, in GiB, which is added to the alarm's threshold; null for no volume."
  type        = number
  default     = null
  nullable    = true
}

variable "kms_key_arn" {
  description = "ARN of the KMS key that encrypts the files."
  type        = string
  nullable    = false
}

variable "labels" {
  description = "Tags of all resources."
  type        = map(string)
  default     = {}
  nullable    = false
}
