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

variable "region" {
  description = "AWS Region, such as eu-central-1."
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

variable "registry_id" {
  description = "ARN of the ECR repository of the lab's image."
  type        = string
  nullable    = false
}

variable "file_system" {
  description = "ID of the EFS file system of the lab."
  type        = string
  nullable    = false
}

variable "secrets" {
  description = "ARNs of the secrets of the lab, by the name of the environment variable."
  type        = map(string)
  nullable    = false
}

variable "kms_key_arn" {
  description = "ARN of the KMS key that encrypts the secrets."
  type        = string
  nullable    = false
}

variable "log_group_arn" {
  description = "ARN of the log group that tasks write to."
  type        = string
  nullable    = false
}

variable "labels" {
  description = "Tags of all resources."
  type        = map(string)
  default     = {}
  nullable    = false
}
