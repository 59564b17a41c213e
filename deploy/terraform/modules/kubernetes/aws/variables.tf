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

variable "allowed_cidrs" {
  description = "Networks that may reach the lab."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.allowed_cidrs) > 0 && alltrue([for cidr in var.allowed_cidrs : can(cidrhost(cidr, 0))])
    error_message = "allowed_cidrs: at least one network, each as 192.0.2.0/24."
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

# tflint-ignore: terraform_unused_declarations
variable "max_replicas" {
  description = "The most labs; Auto Mode has as many nodes as they need."
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
    condition     = can(regex("^(g5|g6|g6e)\\.[0-9]*x?large$", var.gpu_machine_type))
    error_message = "gpu_machine_type: an instance of the families g5, g6 or g6e, such as g6.xlarge."
  }
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

variable "workload" {
  description = "The lab's Kubernetes service account, which gets the identity."
  type = object({
    namespace       = string
    service_account = string
  })
  nullable = false
}
