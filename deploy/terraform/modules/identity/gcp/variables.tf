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

variable "platform" {
  description = "kubernetes or simple."
  type        = string
  nullable    = false

  validation {
    condition     = contains(["kubernetes", "simple"], var.platform)
    error_message = "platform: kubernetes or simple."
  }
}

variable "registry" {
  description = "The registry's id: the container-registry module's `id`."
  type        = string
  nullable    = false
}

variable "file_system" {
  description = "The storage module's `file_system`."
  type        = string
  nullable    = false
}

variable "secrets" {
  description = "The secrets module's `secrets`: environment variable, and the id of its secret."
  type        = map(string)
  nullable    = false
}
