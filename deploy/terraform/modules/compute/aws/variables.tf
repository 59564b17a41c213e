variable "name" {
  description = "Name of the stack, which its resources are named after."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,23}$", var.name))
    error_message = "name: 2 to 24 lowercase letters, digits and hyphens, beginning with a letter. With a suffix, it must fit into 32 characters, the limit of a target group (Elastic Load Balancing API, CreateTargetGroup)."
  }
}

variable "region" {
  description = "AWS Region, such as eu-central-1."
  type        = string
  nullable    = false
}

variable "subnet_ids" {
  description = "IDs of the private subnets of the tasks."
  type        = list(string)
  nullable    = false
}

variable "security_group_id" {
  description = "ID of the security group of the tasks."
  type        = string
  nullable    = false
}

variable "target_group_arn" {
  description = "ARN of the load balancer's target group that tasks register with."
  type        = string
  nullable    = false
}

variable "lab_identity_id" {
  description = "ARN of the task role, which has the lab's permissions."
  type        = string
  nullable    = false
}

variable "execution_identity_id" {
  description = "ARN of the task execution role: pulls the image, reads the secrets, writes the logs."
  type        = string
  nullable    = false
}

variable "file_system" {
  description = "ID of the EFS file system."
  type        = string
  nullable    = false
}

variable "volumes" {
  description = "EFS access points of the home (`home`) and, for a model server, of the models (`models`), each as FILE_SYSTEM_ID::ACCESS_POINT_ID."
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
    error_message = "memory: at least 512 MiB, the minimum of Fargate (Amazon ECS, \"Task definition parameters for Fargate\")."
  }
}

variable "min_replicas" {
  description = "Minimum number of tasks."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.min_replicas >= 1 && var.min_replicas <= var.max_replicas
    error_message = "min_replicas: from 1 to max_replicas."
  }
}

variable "max_replicas" {
  description = "Maximum number of tasks."
  type        = number
  default     = 1
  nullable    = false
}

variable "enable_gpu" {
  description = "Whether tasks run on EC2 instances with NVIDIA GPUs instead of Fargate."
  type        = bool
  default     = false
  nullable    = false
}

variable "gpu_machine_type" {
  description = "Type of the EC2 instances with GPUs."
  type        = string
  default     = "g6.2xlarge"
  nullable    = false

  validation {
    condition     = can(regex("^(g5|g6|g6e)\\.[0-9]*x?large$", var.gpu_machine_type))
    error_message = "gpu_machine_type: an instance type of the families g5, g6 or g6e, such as g6.xlarge."
  }
}

variable "environment_variables" {
  description = "Environment variables of the lab. They are stored in the state, so they must not be secret."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "secrets" {
  description = "ARNs of Secrets Manager secrets that the lab receives as environment variables, by the name of the variable."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "secret_versions" {
  description = "Version of each of these secrets. A new version starts a new task, because secrets are read at startup."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "ollama" {
  description = "Model server in the same task: image (`image`), names of the models to pull (`models`), how long a model stays in memory, such as 300s (`keep_alive`), CPU cores (`cpu`) and memory in MiB (`memory`). null for none."
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

variable "log_group_arn" {
  description = "ARN of the log group that containers write to."
  type        = string
  nullable    = false
}

variable "labels" {
  description = "Tags of all resources."
  type        = map(string)
  default     = {}
  nullable    = false
}
