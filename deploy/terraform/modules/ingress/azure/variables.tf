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

variable "base_url" {
  description = "Path under which the lab answers."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^/([\\w.~-]+/)*$", var.base_url))
    error_message = "base_url: a path that begins and ends with /, such as / or /lab/."
  }
}

variable "host_name" {
  description = "Host name of the lab; empty for the load balancer's own address."
  type        = string
  nullable    = false
}

variable "dns_zone" {
  description = "Zone that records are written to; empty: they are in the output `dns_records`."
  type        = string
  nullable    = false
}

variable "certificate" {
  description = "A certificate that exists already; empty for one that is made here."
  type        = string
  nullable    = false
}

variable "enable_https" {
  description = "Whether the load balancer speaks HTTPS and redirects the rest."
  type        = bool
  nullable    = false
}
