variable "project_name" {
  description = "What the lab is called."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]([a-z0-9-]{0,28}[a-z0-9])?$", var.project_name))
    error_message = "project_name: up to 30 lower-case letters, digits and hyphens, the first a letter."
  }
}

variable "environment" {
  description = "Environment of the stack, such as dev or prod."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?$", var.environment))
    error_message = "environment: up to 30 lower-case letters, digits and hyphens."
  }
}

variable "account" {
  description = "Account, subscription or project: it makes the unique name differ from that of others."
  type        = string
  nullable    = false
}
