variable "unique_name" {
  description = "Globally unique name of the registry."
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

variable "repository" {
  description = "Name of the lab's image, which is stored as a tag of the registry."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9._/-]{1,99}$", var.repository))
    error_message = "repository: 2 to 100 lowercase letters, digits, dots, hyphens, underscores and slashes."
  }
}

variable "protected" {
  description = "Whether the registry is zone-redundant, with the Premium SKU, and keeps untagged manifests for 14 days."
  type        = bool
  nullable    = false
}

variable "labels" {
  description = "Tags of all resources."
  type        = map(string)
  default     = {}
  nullable    = false
}
