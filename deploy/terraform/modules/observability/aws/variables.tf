variable "name" {
  description = "Name of the stack; its log group is /devai/NAME."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,23}$", var.name))
    error_message = "name: 2 to 24 lowercase letters, digits and hyphens, beginning with a letter. With a suffix, it must fit into 32 characters, the limit of a target group (Elastic Load Balancing API, CreateTargetGroup)."
  }
}

variable "kms_key_arn" {
  description = "ARN of the KMS key that encrypts the logs; the key policy must allow CloudWatch Logs to use it."
  type        = string
  nullable    = false
}

variable "labels" {
  description = "Tags of all resources."
  type        = map(string)
  default     = {}
  nullable    = false
}
