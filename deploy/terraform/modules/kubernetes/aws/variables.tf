variable "name" {
  description = "Name of the stack, which its resources are named after."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,23}$", var.name))
    error_message = "name: 2 to 24 lowercase letters, digits and hyphens, beginning with a letter. With a suffix, it must fit into 32 characters, the limit of a target group (Elastic Load Balancing API, CreateTargetGroup)."
  }
}

variable "subnet_ids" {
  description = "IDs of the private subnets of nodes and pods, in two availability zones or more."
  type        = list(string)
  nullable    = false
}

variable "gateway_security_group_id" {
  description = "ID of the security group of the load balancer, which connects to the lab."
  type        = string
  nullable    = false
}

variable "storage_security_group_id" {
  description = "ID of the file system's security group, which gets a rule for the cluster."
  type        = string
  nullable    = false
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

variable "allowed_cidrs" {
  description = "Networks that may connect to the API server."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.allowed_cidrs) > 0 && alltrue([for cidr in var.allowed_cidrs : can(cidrhost(cidr, 0))])
    error_message = "allowed_cidrs: at least one network in CIDR notation, such as 192.0.2.0/24."
  }
}

variable "lab_identity_id" {
  description = "ARN of the IAM role of the lab's pods."
  type        = string
  nullable    = false
}

variable "node_identity_id" {
  description = "ARN of the IAM role of the nodes."
  type        = string
  nullable    = false
}

variable "service_account" {
  description = "Kubernetes service account of the lab's pods, which receives the lab's identity."
  type = object({
    namespace = string
    name      = string
  })
  nullable = false
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

variable "enable_gpu" {
  description = "Whether the larger of lab and model server must fit on an instance with GPUs."
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

variable "ollama" {
  description = "Size of the model server: CPU cores (`cpu`) and memory in MiB (`memory`); null for none."
  type = object({
    cpu    = number
    memory = number
  })
  default  = null
  nullable = true
}

variable "kms_key_arn" {
  description = "ARN of the KMS key that encrypts the secrets of Kubernetes and the logs of the control plane."
  type        = string
  nullable    = false
}

variable "protected" {
  description = "Whether the cluster has deletion protection."
  type        = bool
  nullable    = false
}

variable "labels" {
  description = "Tags of all resources."
  type        = map(string)
  default     = {}
  nullable    = false
}
