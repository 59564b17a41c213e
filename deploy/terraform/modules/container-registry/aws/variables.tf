variable "name" {
  description = "Name of the stack, the first part of the repository's name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,23}$", var.name))
    error_message = "name: 2 to 24 lowercase letters, digits and hyphens, beginning with a letter. With a suffix, it must fit into 32 characters, the limit of a target group (Elastic Load Balancing API, CreateTargetGroup)."
  }
}

variable "repository" {
  description = "Name of the lab's image, the second part of the repository's name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9._/-]{1,99}$", var.repository))
    error_message = "repository: 2 to 100 lowercase letters, digits, dots, hyphens, underscores and slashes."
  }
}

variable "kms_key_arn" {
  description = "ARN of the KMS key that encrypts the images."
  type        = string
  nullable    = false
}

variable "protected" {
  description = "Whether a repository that contains images cannot be deleted."
  type        = bool
  nullable    = false
}

variable "labels" {
  description = "Tags of all resources."
  type        = map(string)
  default     = {}
  nullable    = false
}
