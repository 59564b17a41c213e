variable "name" {
  description = "Name of the stack and of the service."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,23}$", var.name))
    error_message = "name: 2 to 24 lowercase letters, digits and hyphens, beginning with a letter. With a suffix, it must fit into 30 characters, the limit of a service account's ID (IAM API, serviceAccounts.create)."
  }
}

variable "account" {
  description = "ID of the Google Cloud project."
  type        = string
  nullable    = false
}

variable "region" {
  description = "Google Cloud region, such as europe-west1."
  type        = string
  nullable    = false
}

variable "lab_identity_email" {
  description = "E-mail address of the lab's service account."
  type        = string
  nullable    = false
}

variable "volumes" {
  description = "Names of the buckets of the home (`home`) and, for a model server, of the models (`models`)."
  type = object({
    home   = string
    models = optional(string)
  })
  nullable = false
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
    error_message = "memory: at least 512 MiB, the minimum of Cloud Run's second generation (Cloud Run, \"Configure memory limits\")."
  }
}

variable "min_replicas" {
  description = "Minimum number of instances."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.min_replicas >= 1 && var.min_replicas <= var.max_replicas
    error_message = "min_replicas: from 1 to max_replicas."
  }
}

variable "max_replicas" {
  description = "Maximum number of instances."
  type        = number
  default     = 1
  nullable    = false
}

variable "enable_gpu" {
  description = "Whether the model server, or else the lab, has an NVIDIA GPU."
  type        = bool
  default     = false
  nullable    = false
}

variable "gpu_machine_type" {
  description = "Machine type of a cluster's nodes with GPUs. The family g2 selects an NVIDIA L4."
  type        = string
  default     = "g2-standard-8"
  nullable    = false

  validation {
    condition     = can(regex("^g2-standard-(4|8|12|16|24|32|48|96)$", var.gpu_machine_type))
    error_message = "gpu_machine_type: a machine type of the family g2, such as g2-standard-8."
  }
}

variable "environment_variables" {
  description = "Environment variables of the lab. They are stored in the state, so they must not be secret."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "secrets" {
  description = "IDs of Secret Manager secrets that the lab receives as environment variables, by the name of the variable."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "secret_versions" {
  description = "Version of each of these secrets. A new version starts a new revision, because secrets are read at startup."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "ollama" {
  description = "Model server in the same instance: image (`image`), names of the models to pull (`models`), how long a model stays in memory, such as 300s (`keep_alive`), CPU cores (`cpu`) and memory in MiB (`memory`). null for none."
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
  description = "Labels of all resources that support labels: lowercase letters, digits, hyphens and underscores, at most 63 characters (Google Cloud, \"Requirements for labels\")."
  type        = map(string)
  default     = {}
  nullable    = false
}
