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

variable "allowed_cidrs" {
  description = "Networks that may reach the lab."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.allowed_cidrs) > 0 && alltrue([for cidr in var.allowed_cidrs : can(cidrhost(cidr, 0))])
    error_message = "allowed_cidrs: at least one network, each as 192.0.2.0/24."
  }
}

variable "port" {
  description = "Port of the lab inside the network."
  type        = number
  nullable    = false

  validation {
    condition     = var.port >= 1024 && var.port <= 65535
    error_message = "port: 1024 to 65535, for the lab does not run as root."
  }
}

variable "cidr" {
  description = "Addresses of the network: a /16."
  type        = string
  default     = "10.42.0.0/16"
  nullable    = false

  validation {
    condition     = can(cidrhost(var.cidr, 0)) && endswith(var.cidr, "/16")
    error_message = "cidr: a /16, such as 10.42.0.0/16."
  }
}
