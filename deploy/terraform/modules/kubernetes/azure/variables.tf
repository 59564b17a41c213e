variable "name" {
  description = "Name of the stack, which its resources are named after."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,23}$", var.name))
    error_message = "name: 2 to 24 lowercase letters, digits and hyphens, beginning with a letter: the limit of a stack's name in every cloud."
  }
}

variable "account" {
  description = "ID of the Azure subscription."
  type        = string
  nullable    = false
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
  description = "ID of the subnet of the nodes."
  type        = string
  nullable    = false
}

variable "gateway_subnet_id" {
  description = "ID of the subnet of the Application Gateway."
  type        = string
  nullable    = false
}

variable "network_security_group_id" {
  description = "ID of the nodes' network security group, which gets a rule for pods."
  type        = string
  nullable    = false
}

variable "egress_cidrs" {
  description = "Public addresses of the nodes' NAT gateway, from which they connect to the API server."
  type        = list(string)
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
  description = "ID of the managed identity of the lab's pods."
  type        = string
  nullable    = false
}

variable "node_identity" {
  description = "Managed identity of the cluster and its nodes: resource ID (`id`), client ID (`client_id`) and principal ID (`principal_id`)."
  type = object({
    id           = string
    client_id    = string
    principal_id = string
  })
  nullable = false
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
  description = "VM size of the nodes with GPUs."
  type        = string
  default     = "Standard_NC4as_T4_v3"
  nullable    = false

  validation {
    condition     = can(regex("^Standard_N[CDV][A-Za-z0-9_]+$", var.gpu_machine_type))
    error_message = "gpu_machine_type: a VM size of the families NC, ND or NV, such as Standard_NC4as_T4_v3."
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

variable "log_analytics_workspace_id" {
  description = "ID of the Log Analytics workspace that receives logs and metrics of containers."
  type        = string
  nullable    = false
}

variable "protected" {
  description = "Whether the cluster has the Standard tier with its SLA, and nodes in three zones."
  type        = bool
  nullable    = false
}

variable "labels" {
  description = "Tags of all resources."
  type        = map(string)
  default     = {}
  nullable    = false
}
