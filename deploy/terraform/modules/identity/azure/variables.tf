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

variable "platform" {
  description = "Platform of the lab: kubernetes (AKS) or simple (Container Instances)."
  type        = string
  nullable    = false

  validation {
    condition     = contains(["kubernetes", "simple"], var.platform)
    error_message = "platform: kubernetes or simple."
  }
}

variable "registry_id" {
  description = "ID of the container registry of the lab's image."
  type        = string
  nullable    = false
}

variable "file_system" {
  description = "Name of the lab's storage account, which is stored as a tag of the identities."
  type        = string
  nullable    = false
}

variable "secrets" {
  description = "Resource IDs, without version, of the lab's Key Vault secrets, by the name of the environment variable."
  type        = map(string)
  nullable    = false
}

variable "labels" {
  description = "Tags of all resources."
  type        = map(string)
  default     = {}
  nullable    = false
}
