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

variable "network" {
  description = "The networking module's `network`."
  type = object({
    id = string
    subnets = object({
      workload  = list(string)
      gateway   = list(string)
      endpoints = list(string)
    })
    firewalls = object({
      gateway  = string
      workload = string
      storage  = string
    })
    source_cidrs = list(string)
    egress_cidrs = list(string)
    port         = number
  })
  nullable = false
}

variable "storage_size_gb" {
  description = "Size of the home, in GiB. EFS has none: it is the threshold of an alarm."
  type        = number
  nullable    = false

  validation {
    condition     = var.storage_size_gb >= 1
    error_message = "storage_size_gb: at least 1."
  }
}

variable "models_size_gb" {
  description = "Size of the models' volume, in GiB; null where the stack has no model server."
  type        = number
  nullable    = true
}
