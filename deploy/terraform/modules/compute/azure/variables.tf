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

variable "image" {
  description = "The lab's image by digest."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "image: by digest, so that what runs is what was pushed."
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

variable "base_url" {
  description = "Path under which the lab answers."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^/([\\w.~-]+/)*$", var.base_url))
    error_message = "base_url: a path that begins and ends with /, such as / or /lab/."
  }
}

variable "cpu" {
  description = "Cores of one lab."
  type        = number
  nullable    = false

  validation {
    condition     = var.cpu > 0
    error_message = "cpu: more than 0."
  }
}

variable "memory" {
  description = "Memory of one lab, in MiB."
  type        = number
  nullable    = false

  validation {
    condition     = var.memory >= 512
    error_message = "memory: at least 512 MiB, the least of Fargate and Cloud Run."
  }
}

variable "min_replicas" {
  description = "The fewest labs."
  type        = number
  nullable    = false

  validation {
    condition     = var.min_replicas >= 1 && var.min_replicas <= var.max_replicas
    error_message = "min_replicas: from 1 to max_replicas."
  }
}

variable "max_replicas" {
  description = "The most labs."
  type        = number
  nullable    = false
}

variable "enable_gpu" {
  description = "Whether the stack has NVIDIA GPUs."
  type        = bool
  nullable    = false
}

variable "gpu_machine_type" {
  description = "Machine of the GPU nodes."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^Standard_N[CDV][A-Za-z0-9_]+$", var.gpu_machine_type))
    error_message = "gpu_machine_type: a size of the families NC, ND or NV, such as Standard_NC4as_T4_v3."
  }
}

variable "environment_variables" {
  description = "Environment of the notebooks and terminals; nothing secret."
  type        = map(string)
  nullable    = false
}

variable "secrets" {
  description = "The secrets module's `secrets`: environment variable, and the id of its secret."
  type        = map(string)
  nullable    = false
}

variable "secret_versions" {
  description = "The secrets module's `versions`. Secrets are read when a lab starts: with another version, another one starts."
  type        = map(string)
  nullable    = false
}

variable "ollama" {
  description = "The model server of the stack: image, models to pull, how long a model stays in memory, size of the models' volume (GiB), cores, memory (MiB). null: it has none."
  type = object({
    image           = string
    models          = list(string)
    keep_alive      = string
    storage_size_gb = number
    cpu             = number
    memory          = number
  })
  nullable = true
}

variable "ollama_url" {
  description = "Model server elsewhere; empty where the stack has its own."
  type        = string
  nullable    = false
}

variable "identity" {
  description = "The identity module's `identity`."
  type = object({
    id     = string
    client = string
    execution = object({
      id        = string
      client    = string
      principal = string
    })
  })
  nullable = false
}

variable "file_system" {
  description = "The storage module's `file_system`."
  type        = string
  nullable    = false
}

variable "volumes" {
  description = "The storage module's `volumes`."
  type = object({
    home   = string
    models = optional(string)
    key    = optional(string)
  })
  nullable = false
}

variable "backend" {
  description = "What the load balancer sends requests to: the ingress module's `backend`."
  type        = string
  nullable    = false
}
