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
  description = "Globally unique name, the first label of the gateway's DNS name."
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
  description = "ID of the virtual network in which the name of the container group resolves."
  type        = string
  nullable    = false
}

variable "subnet_id" {
  description = "ID of the Application Gateway's subnet, which must contain nothing else."
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

variable "host_name" {
  description = "Host name of the lab, such as lab.example.com; empty to use the DNS name of the gateway's public IP address."
  type        = string
  default     = ""
  nullable    = false
}

variable "dns_zone" {
  description = "Name of the Azure DNS zone that the records are created in, such as example.com; empty to return them in the output `dns_records`."
  type        = string
  default     = ""
  nullable    = false
}

variable "certificate" {
  description = "ID, without version, of the Key Vault secret that holds an existing certificate; empty to create a self-signed one."
  type        = string
  default     = ""
  nullable    = false
}

variable "enable_https" {
  description = "Whether the load balancer serves HTTPS and redirects HTTP to it."
  type        = bool
  default     = true
  nullable    = false
}

variable "key_vault_id" {
  description = "ID of the Key Vault of a self-signed certificate; the caller of Terraform needs the role Key Vault Certificates Officer there."
  type        = string
  nullable    = false
}

variable "log_analytics_workspace_id" {
  description = "ID of the Log Analytics workspace that receives the access log."
  type        = string
  nullable    = false
}

variable "protected" {
  description = "Whether a self-signed certificate is rejected."
  type        = bool
  nullable    = false
}

variable "labels" {
  description = "Tags of all resources."
  type        = map(string)
  default     = {}
  nullable    = false
}
