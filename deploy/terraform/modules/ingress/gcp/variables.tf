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

variable "platform" {
  description = "Platform of the lab: kubernetes (GKE) or simple (Cloud Run)."
  type        = string
  nullable    = false

  validation {
    condition     = contains(["kubernetes", "simple"], var.platform)
    error_message = "platform: kubernetes or simple."
  }
}

variable "security_policy" {
  description = "Name of the Cloud Armor policy with the allowed networks."
  type        = string
  nullable    = false
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
  description = "Host name of the lab, such as lab.example.com; empty to use the IP address of the load balancer."
  type        = string
  default     = ""
  nullable    = false
}

variable "dns_zone" {
  description = "DNS name of the Cloud DNS zone that the records are created in, such as example.com; the zone itself must be named example-com. Empty to return the records in the output `dns_records`."
  type        = string
  default     = ""
  nullable    = false
}

variable "certificate" {
  description = "Name of an existing global SSL certificate; empty to create one."
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
  description = "Whether a self-signed certificate is rejected."
  type        = bool
  nullable    = false
}

variable "labels" {
  description = "Labels of all resources that support labels: lowercase letters, digits, hyphens and underscores, at most 63 characters (Google Cloud, \"Requirements for labels\")."
  type        = map(string)
  default     = {}
  nullable    = false
}
