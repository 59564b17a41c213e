variable "name" {
  description = "Name of the stack, the first part of the secrets' names."
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

variable "secret_versions" {
  description = "Version of each secret's value, by the name of the environment variable. A higher version writes the value again."
  type        = map(number)
  nullable    = false

  validation {
    condition     = alltrue([for name, version in var.secret_versions : can(regex("^[A-Z][A-Z0-9_]*$", name)) && version >= 1])
    error_message = "secret_versions: names of environment variables in capital letters, with versions from 1."
  }
}

variable "secret_values" {
  description = "Values of the secrets with a new version, by the name of the environment variable. The values are not stored in plans, the state or logs."
  type        = map(string)
  default     = {}
  ephemeral   = true
  sensitive   = true
  nullable    = false
}

variable "labels" {
  description = "Labels of all resources that support labels: lowercase letters, digits, hyphens and underscores, at most 63 characters (Google Cloud, \"Requirements for labels\")."
  type        = map(string)
  default     = {}
  nullable    = false
}
