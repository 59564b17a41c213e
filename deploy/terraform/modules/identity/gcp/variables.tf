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

variable "platform" {
  description = "Platform of the lab: kubernetes (GKE) or simple (Cloud Run)."
  type        = string
  nullable    = false

  validation {
    condition     = contains(["kubernetes", "simple"], var.platform)
    error_message = "platform: kubernetes or simple."
  }
}

variable "registry_id" {
  description = "ID of the Artifact Registry repository of the lab's image: projects/…/locations/…/repositories/…."
  type        = string
  nullable    = false
}

variable "file_system" {
  description = "Name of the home's bucket, the prefix of the names of the lab's other buckets; unused on Kubernetes."
  type        = string
  nullable    = false
}

variable "secrets" {
  description = "IDs of the lab's secrets, by the name of the environment variable."
  type        = map(string)
  nullable    = false
}
