variable "name" {
  description = "Name of the stack, which its resources are named after."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,23}$", var.name))
    error_message = "name: 2 to 24 lowercase letters, digits and hyphens, beginning with a letter: the limit of a stack's name in every cloud."
  }
}

variable "resource_group_name" {
  description = "Name of the resource group."
  type        = string
  nullable    = false
}

variable "region" {
  description = "Azure region, such as westeurope."
  type        = string
  nullable    = false
}

variable "subnet_id" {
  description = "ID of the subnet that is delegated to Microsoft.ContainerInstance/containerGroups."
  type        = string
  nullable    = false
}

variable "private_dns_zone_id" {
  description = "ID of the private DNS zone in which the gateway finds the container group, as the record `lab`."
  type        = string
  nullable    = false
}

variable "lab_identity_id" {
  description = "ID of the managed identity of the lab."
  type        = string
  nullable    = false
}

variable "lab_identity_client_id" {
  description = "Client ID of the managed identity of the lab."
  type        = string
  nullable    = false
}

variable "execution_identity_id" {
  description = "ID of the managed identity that pulls the image."
  type        = string
  nullable    = false
}

variable "file_system" {
  description = "Name of the storage account."
  type        = string
  nullable    = false
}

variable "volumes" {
  description = "Names of the file shares of the home (`home`) and, for a model server, of the models (`models`)."
  type = object({
    home   = string
    models = optional(string)
  })
  nullable = false
}

variable "storage_key" {
  description = "Access key of the storage account, with which the container group mounts its shares."
  type        = string
  sensitive   = true
  nullable    = false
}

variable "image" {
  description = "Image of the lab, with its digest."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "image: an image with a digest (NAME@sha256:…), so that exactly the pushed image runs."
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
  default     = "/"
  nullable    = false

  validation {
    condition     = can(regex("^/([\\w.~-]+/)*$", var.base_url))
    error_message = "base_url: a path that begins and ends with a slash, such as / or /lab/."
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
    error_message = "memory: at least 512 MiB, the minimum of a lab in every cloud."
  }
}

variable "min_replicas" {
  description = "Minimum number of labs; a container group is exactly one."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.min_replicas >= 1 && var.min_replicas <= var.max_replicas
    error_message = "min_replicas: from 1 to max_replicas."
  }
}

variable "max_replicas" {
  description = "Maximum number of labs; a container group is exactly one."
  type        = number
  default     = 1
  nullable    = false
}

variable "enable_gpu" {
  description = "Whether GPUs are requested, which Container Instances does not support."
  type        = bool
  default     = false
  nullable    = false
}

variable "gpu_machine_type" {
  description = "VM size with GPUs, for the error message."
  type        = string
  default     = "Standard_NC4as_T4_v3"
  nullable    = false

  validation {
    condition     = can(regex("^Standard_N[CDV][A-Za-z0-9_]+$", var.gpu_machine_type))
    error_message = "gpu_machine_type: a VM size of the families NC, ND or NV, such as Standard_NC4as_T4_v3."
  }
}

variable "environment_variables" {
  description = "Environment variables of the lab. They are stored in the state, so they must not be secret."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "secrets" {
  description = "Resource IDs of Key Vault secrets that the lab receives as environment variables, by the name of the variable."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "secret_versions" {
  description = "Version of each of these secrets. A new version starts a new container group, because secrets are read at startup."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "ollama" {
  description = "Model server in the same container group: image (`image`), names of the models to pull (`models`), how long a model stays in memory, such as 300s (`keep_alive`), CPU cores (`cpu`) and memory in MiB (`memory`). null for none."
  type = object({
    image      = string
    models     = list(string)
    keep_alive = string
    cpu        = number
    memory     = number
  })
  default  = null
  nullable = true
}

variable "ollama_url" {
  description = "URL of an external model server, used if `ollama` is null; empty for none."
  type        = string
  default     = ""
  nullable    = false
}

variable "labels" {
  description = "Tags of all resources."
  type        = map(string)
  default     = {}
  nullable    = false
}
