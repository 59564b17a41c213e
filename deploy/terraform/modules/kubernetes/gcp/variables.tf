variable "name" {
  description = "Name of the stack, which its resources are named after."
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

variable "network_id" {
  description = "ID of the VPC network."
  type        = string
  nullable    = false
}

variable "subnet_id" {
  description = "ID of the subnet of the nodes, with secondary ranges `pods` and `services`."
  type        = string
  nullable    = false
}

variable "network_tag" {
  description = "Network tag of the nodes, which firewall rules refer to."
  type        = string
  nullable    = false
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
  description = "Name of the service account of the lab's pods: projects/…/serviceAccounts/…."
  type        = string
  nullable    = false
}

variable "node_identity_email" {
  description = "E-mail address of the service account of the nodes."
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

variable "max_replicas" {
  description = "Maximum number of labs, which bounds the number of nodes."
  type        = number
  default     = 1
  nullable    = false
}

variable "enable_gpu" {
  description = "Whether the cluster has a node pool with GPUs."
  type        = bool
  default     = false
  nullable    = false
}

variable "gpu_machine_type" {
  description = "Machine type of the nodes with GPUs."
  type        = string
  default     = "g2-standard-8"
  nullable    = false

  validation {
    condition     = can(regex("^g2-standard-(4|8|12|16|24|32|48|96)$", var.gpu_machine_type))
    error_message = "gpu_machine_type: a machine type of the family g2, such as g2-standard-8."
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

variable "protected" {
  description = "Whether the cluster has deletion protection."
  type        = bool
  nullable    = false
}

variable "labels" {
  description = "Labels of all resources that support labels: lowercase letters, digits, hyphens and underscores, at most 63 characters (Google Cloud, \"Requirements for labels\")."
  type        = map(string)
  default     = {}
  nullable    = false
}
