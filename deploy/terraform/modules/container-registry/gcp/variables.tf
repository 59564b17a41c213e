variable "stack" {
  description = "What everything belongs to: name and globally unique name, account (subscription, project), region, Azure's resource group, where logs go, what protects secrets (KMS key, Key Vault), whether it is protected, labels."
  type = object({
    name      = string
    unique    = string
    account   = string
    region    = string
    group     = optional(string)
    logs      = optional(string)
    vault     = optional(string)
    protected = bool
    labels    = map(string)
  })
  nullable = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,23}$", var.stack.name))
    error_message = "stack.name: 2 to 24 lower-case letters, digits and hyphens, the most that every service of the three clouds takes."
  }
}

variable "repository" {
  description = "Name of the lab's image in the registry."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9._/-]{1,99}$", var.repository))
    error_message = "repository: 2 to 100 lower-case letters, digits, dots, hyphens, underscores and slashes."
  }
}
