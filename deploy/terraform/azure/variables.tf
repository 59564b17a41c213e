variable "name" {
  description = "Name of the stack, which its resources are named after. It must be unique in the account, and can't be changed after the first apply."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,23}$", var.name))
    error_message = "name: 2 to 24 lowercase letters, digits and hyphens, beginning with a letter: the limit of a stack's name in every cloud."
  }
}

variable "unique" {
  description = "Globally unique name, for services that require one. It can't be changed after the first apply."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{2,23}$", var.unique))
    error_message = "unique: 3 to 24 lowercase letters and digits, beginning with a letter, as required for the name of a storage account in Azure (\"Naming rules and restrictions for Azure resources\")."
  }
}

variable "project_name" {
  description = "Name of the project (`project.name`), the first part of the image's name."
  type        = string
  nullable    = false
}

variable "project_id" {
  description = "Random ID of the project that the stack belongs to (`project.id`); empty if the project has none."
  type        = string
  nullable    = false
}

variable "environment" {
  description = "Environment of the stack, such as dev or prod."
  type        = string
  nullable    = false
}

variable "region" {
  description = "Azure region of the stack, such as westeurope."
  type        = string
  nullable    = false
}

variable "account" {
  description = "ID of the Azure subscription of the stack."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", var.account))
    error_message = "account: the ID of a subscription, such as 00000000-0000-0000-0000-000000000000."
  }
}

variable "protected" {
  description = "Whether the stack has deletion protection for services that support it, longer retention and more redundancy, and requires a host name for HTTPS."
  type        = bool
  nullable    = false
}

variable "labels" {
  description = "Tags of all resources."
  type        = map(string)
  nullable    = false
}

variable "compute_platform" {
  description = "Platform of the lab: kubernetes (AKS) or simple (Container Instances)."
  type        = string
  nullable    = false

  validation {
    condition     = contains(["kubernetes", "simple"], var.compute_platform)
    error_message = "compute_platform: kubernetes or simple."
  }
}

variable "image" {
  description = "Image of the lab, with its digest; null before the first push, to create everything except the service."
  type        = string
  nullable    = true

  validation {
    condition     = var.image == null || can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "image: null, or an image with a digest (NAME@sha256:…), so that exactly the pushed image runs."
  }
}

variable "port" {
  description = "TCP port on which the lab listens."
  type        = number
  nullable    = false

  validation {
    condition     = var.port >= 1024 && var.port <= 65535
    error_message = "port: 1024 to 65535, because the lab does not run as root."
  }
}

variable "base_url" {
  description = "URL path of the lab."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^/([\\w.~-]+/)*$", var.base_url))
    error_message = "base_url: a path that begins and ends with a slash, such as / or /lab/."
  }
}

variable "host_name" {
  description = "Host name of the lab, such as lab.example.com; empty to use the DNS name of the gateway's public IP address."
  type        = string
  nullable    = false
}

variable "dns_zone" {
  description = "Name of the Azure DNS zone that the records are created in, such as example.com; empty to return them in the output `dns_records`."
  type        = string
  nullable    = false
}

variable "certificate" {
  description = "ID, without version, of the Key Vault secret that holds an existing certificate; empty to create a self-signed one."
  type        = string
  nullable    = false
}

variable "enable_https" {
  description = "Whether the load balancer serves HTTPS and redirects HTTP to it."
  type        = bool
  nullable    = false
}

variable "allowed_cidrs" {
  description = "Networks that may connect to the lab and to the API server of the cluster."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.allowed_cidrs) > 0 && alltrue([for cidr in var.allowed_cidrs : can(cidrhost(cidr, 0))])
    error_message = "allowed_cidrs: at least one network in CIDR notation, such as 192.0.2.0/24."
  }
}

variable "cpu" {
  description = "CPU cores of one lab."
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
    error_message = "memory: at least 512 MiB, the minimum in all clouds, because Fargate and Cloud Run support no less."
  }
}

variable "storage_size_gb" {
  description = "Size of the home, in GiB."
  type        = number
  nullable    = false

  validation {
    condition     = var.storage_size_gb >= (var.compute_platform == "kubernetes" ? 100 : 1)
    error_message = "storage_size_gb: at least 1; on Kubernetes at least 100, the minimum of a premium file share (Azure Files, \"Scalability and performance targets\")."
  }
}

variable "min_replicas" {
  description = "Minimum number of labs."
  type        = number
  nullable    = false

  validation {
    condition     = var.min_replicas >= 1 && var.min_replicas <= var.max_replicas
    error_message = "min_replicas: from 1 to max_replicas."
  }
}

variable "max_replicas" {
  description = "Maximum number of labs."
  type        = number
  nullable    = false
}

variable "enable_gpu" {
  description = "Whether the stack has NVIDIA GPUs."
  type        = bool
  nullable    = false
}

variable "gpu_machine_type" {
  description = "VM size of the nodes with GPUs."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^Standard_N[CDV][A-Za-z0-9_]+$", var.gpu_machine_type))
    error_message = "gpu_machine_type: a VM size of the families NC, ND or NV, such as Standard_NC4as_T4_v3."
  }
}

variable "namespace" {
  description = "Kubernetes namespace of the stack."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", var.namespace))
    error_message = "namespace: up to 63 lowercase letters, digits and hyphens (RFC 1123 label)."
  }
}

variable "environment_variables" {
  description = "Environment variables of the lab. They are stored in the state, so they must not be secret."
  type        = map(string)
  nullable    = false
}

variable "secret_versions" {
  description = "Version of each secret's value, by the name of the environment variable. A higher version writes the value again."
  type        = map(number)
  nullable    = false

  validation {
    condition     = alltrue([for name, version in var.secret_versions : can(regex("^[A-Z][A-Z0-9_]*$", name)) && version >= 1])
    error_message = "secret_versions: names of environment variables in capital letters, with versions from 1."
  }
}

variable "secret_values" {
  description = "Values of the secrets with a new version, by the name of the environment variable. The values are not stored in plans, the state or logs."
  type        = map(string)
  default     = {}
  ephemeral   = true
  sensitive   = true
  nullable    = false
}

variable "ollama" {
  description = "Model server of the stack: image (`image`), names of the models to pull (`models`), how long a model stays in memory, such as 300s (`keep_alive`), size of the models' volume in GiB (`storage_size_gb`), CPU cores (`cpu`) and memory in MiB (`memory`). null for none."
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
  description = "URL of an external model server, used if `ollama` is null; empty for none."
  type        = string
  nullable    = false
}
