variable "name" {
  description = "Name of the stack, which its resources are named after."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,23}$", var.name))
    error_message = "name: 2 to 24 lowercase letters, digits and hyphens, beginning with a letter: the limit of a stack's name in every cloud."
  }
}

variable "unique_name" {
  description = "Globally unique name of the storage account."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{2,23}$", var.unique_name))
    error_message = "unique_name: 3 to 24 lowercase letters and digits, beginning with a letter, as required for the name of a storage account in Azure (\"Naming rules and restrictions for Azure resources\")."
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

variable "platform" {
  description = "Platform of the lab: kubernetes (AKS) or simple (Container Instances)."
  type        = string
  nullable    = false

  validation {
    condition     = contains(["kubernetes", "simple"], var.platform)
    error_message = "platform: kubernetes or simple."
  }
}

variable "network_id" {
  description = "ID of the virtual network in which the storage account's name resolves to its private address."
  type        = string
  nullable    = false
}

variable "subnet_id" {
  description = "ID of the subnet of the private endpoint."
  type        = string
  nullable    = false
}

variable "storage_size_gb" {
  description = "Size of the home, in GiB."
  type        = number
  nullable    = false

  validation {
    condition     = var.storage_size_gb >= (var.platform == "kubernetes" ? 100 : 1)
    error_message = "storage_size_gb: at least 1; on Kubernetes at least 100, the minimum of a premium file share (Azure Files, \"Scalability and performance targets\")."
  }
}

variable "models_size_gb" {
  description = "Size of the models' share, in GiB; null for none."
  type        = number
  default     = null
  nullable    = true
}

variable "protected" {
  description = "Whether the storage account is zone-redundant, and the shares of managed containers are backed up daily."
  type        = bool
  nullable    = false
}

variable "labels" {
  description = "Tags of all resources."
  type        = map(string)
  default     = {}
  nullable    = false
}
