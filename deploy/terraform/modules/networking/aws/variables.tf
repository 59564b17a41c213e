variable "name" {
  description = "Name of the stack, which its resources are named after."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,23}$", var.name))
    error_message = "name: 2 to 24 lowercase letters, digits and hyphens, beginning with a letter. With a suffix, it must fit into 32 characters, the limit of a target group (Elastic Load Balancing API, CreateTargetGroup)."
  }
}

variable "account" {
  description = "ID of the AWS account, 12 digits."
  type        = string
  nullable    = false
}

variable "region" {
  description = "AWS Region, such as eu-central-1."
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

variable "allowed_cidrs" {
  description = "Networks that may connect to the load balancer."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.allowed_cidrs) > 0 && alltrue([for cidr in var.allowed_cidrs : can(cidrhost(cidr, 0))])
    error_message = "allowed_cidrs: at least one network in CIDR notation, such as 192.0.2.0/24."
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

variable "cidr" {
  description = "Address range of the VPC."
  type        = string
  default     = "10.42.0.0/16"
  nullable    = false

  validation {
    condition     = can(cidrhost(var.cidr, 0)) && endswith(var.cidr, "/16")
    error_message = "cidr: a network of size /16, such as 10.42.0.0/16."
  }
}

variable "log_group_arn" {
  description = "ARN of the log group that receives the flow logs."
  type        = string
  nullable    = false
}

variable "protected" {
  description = "Whether each availability zone has a NAT gateway, so that the failure of one zone does not affect the others."
  type        = bool
  nullable    = false
}

variable "labels" {
  description = "Tags of all resources."
  type        = map(string)
  default     = {}
  nullable    = false
}
