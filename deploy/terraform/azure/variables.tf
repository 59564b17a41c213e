variable "name" {
  description = "Name of the stack's resources; no other stack of the account has it. It stays what the first apply made of it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,23}$", var.name))
    error_message = "name: 2 to 24 lower-case letters, digits and hyphens, the most that every service takes."
  }
}

variable "unique" {
  description = "Name of what is named across a whole cloud; no other account has it. It stays, too."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{2,23}$", var.unique))
    error_message = "unique: 3 to 24 lower-case letters and digits, the most that every service takes."
  }
}

variable "project_name" {
  description = "What the lab is called."
  type        = string
  nullable    = false
}

variable "project_id" {
  description = "Random identity of the project that the stack belongs to; empty where it has none yet."
  type        = string
  nullable    = false
}

variable "environment" {
  description = "Environment of the stack, such as dev or prod."
  type        = string
  nullable    = false
}

variable "region" {
  description = "Region that everything is in."
  type        = string
  nullable    = false
}

variable "account" {
  description = "Id of the subscription that everything belongs to."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", var.account))
    error_message = "account: the id of a subscription, such as 00000000-0000-0000-0000-000000000000."
  }
}

variable "protected" {
  description = "Whether deletion is refused, copies are kept and a host name is wanted."
  type        = bool
  nullable    = false
}

variable "labels" {
  description = "On everything that can carry them."
  type        = map(string)
  nullable    = false
}

variable "compute_platform" {
  description = "kubernetes (AKS) or simple (Container Instances)."
  type        = string
  nullable    = false

  validation {
    condition     = contains(["kubernetes", "simple"], var.compute_platform)
    error_message = "compute_platform: kubernetes or simple."
  }
}

variable "image" {
  description = "The lab's image by digest; null while none is pushed: then everything is made but the service that needs it."
  type        = string
  nullable    = true

  validation {
    condition     = var.image == null || can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "image: by digest, so that what runs is what was pushed; or null."
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
  description = "Secret id, without version, of a certificate in a Key Vault; empty for a self-signed one."
  type        = string
  nullable    = false
}

variable "enable_https" {
  description = "Whether the load balancer speaks HTTPS and redirects the rest."
  type        = bool
  nullable    = false
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

variable "storage_size_gb" {
  description = "Size of the home, in GiB."
  type        = number
  nullable    = false

  validation {
    condition     = var.storage_size_gb >= (var.compute_platform == "kubernetes" ? 100 : 1)
    error_message = "storage_size_gb: at least 1, and on kubernetes 100, the least of a premium share of Azure Files."
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

variable "namespace" {
  description = "Kubernetes namespace of the stack."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", var.namespace))
    error_message = "namespace: up to 63 lower-case letters, digits and hyphens, as Kubernetes wants it."
  }
}

variable "environment_variables" {
  description = "Environment of the notebooks and terminals; nothing secret."
  type        = map(string)
  nullable    = false
}

variable "secret_versions" {
  description = "Environment variable that comes from the secret manager, with the version of its value: raise it and the value is written anew."
  type        = map(number)
  nullable    = false

  validation {
    condition     = alltrue([for name, version in var.secret_versions : can(regex("^[A-Z][A-Z0-9_]*$", name)) && version >= 1])
    error_message = "secret_versions: names of environment variables, versions from 1."
  }
}

variable "secret_values" {
  description = "Values of those whose version is new. They are in no plan, state or log."
  type        = map(string)
  default     = {}
  ephemeral   = true
  sensitive   = true
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
