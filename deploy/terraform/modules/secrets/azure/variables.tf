variable "key_vault_id" {
  description = "ID of the Key Vault; the caller of Terraform needs the role Key Vault Secrets Officer there."
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
  description = "Tags of all resources."
  type        = map(string)
  default     = {}
  nullable    = false
}
