variable "name" {
  description = "Name of the stack, which its resources are named after."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,23}$", var.name))
    error_message = "name: 2 to 24 lowercase letters, digits and hyphens, beginning with a letter. With a suffix, it must fit into 32 characters, the limit of a target group (Elastic Load Balancing API, CreateTargetGroup)."
  }
}

variable "unique_name" {
  description = "Globally unique name, the prefix of the access log bucket's name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{2,23}$", var.unique_name))
    error_message = "unique_name: 3 to 24 lowercase letters and digits, beginning with a letter, as required for the name of a storage account in Azure (\"Naming rules and restrictions for Azure resources\")."
  }
}

variable "account" {
  description = "ID of the AWS account, 12 digits."
  type        = string
  nullable    = false
}

variable "platform" {
  description = "Platform of the lab: kubernetes (EKS) or simple (ECS)."
  type        = string
  nullable    = false

  validation {
    condition     = contains(["kubernetes", "simple"], var.platform)
    error_message = "platform: kubernetes or simple."
  }
}

variable "network_id" {
  description = "ID of the VPC."
  type        = string
  nullable    = false
}

variable "subnet_ids" {
  description = "IDs of the public subnets of the load balancer, in two availability zones or more."
  type        = list(string)
  nullable    = false
}

variable "security_group_id" {
  description = "ID of the security group of the load balancer."
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
  description = "Host name of the lab, such as lab.example.com; empty to use the DNS name of the load balancer."
  type        = string
  default     = ""
  nullable    = false
}

variable "dns_zone" {
  description = "Name of the Route 53 hosted zone that the records are created in, such as example.com; empty to return them in the output `dns_records`."
  type        = string
  default     = ""
  nullable    = false
}

variable "certificate" {
  description = "ARN of an existing ACM certificate; empty to create one."
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

variable "protected" {
  description = "Whether the load balancer has deletion protection, a bucket that contains access logs cannot be deleted, and HTTPS requires a host name."
  type        = bool
  nullable    = false
}

variable "labels" {
  description = "Tags of all resources."
  type        = map(string)
  default     = {}
  nullable    = false
}
