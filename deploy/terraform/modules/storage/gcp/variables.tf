variable "name" {
  description = "Name of the stack and of its Filestore instance."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,23}$", var.name))
    error_message = "name: 2 to 24 lowercase letters, digits and hyphens, beginning with a letter. With a suffix, it must fit into 30 characters, the limit of a service account's ID (IAM API, serviceAccounts.create)."
  }
}

variable "unique_name" {
  description = "Globally unique name of the home's bucket, the prefix of the names of other buckets."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{2,23}$", var.unique_name))
    error_message = "unique_name: 3 to 24 lowercase letters and digits, beginning with a letter, as required for the name of a storage account in Azure (\"Naming rules and restrictions for Azure resources\")."
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

variable "network_id" {
  description = "ID of the VPC network that can connect to Filestore."
  type        = string
  nullable    = false
}

variable "storage_size_gb" {
  description = "Size of the home, in GiB. A bucket has no size limit: an alert reports a larger size."
  type        = number
  nullable    = false

  validation {
    condition     = var.storage_size_gb >= (var.platform == "kubernetes" ? 1024 : 1)
    error_message = "storage_size_gb: at least 1; on Kubernetes at least 1024, the minimum of Filestore's basic HDD and regional tiers (Filestore, \"Service tiers\")."
  }
}

variable "models_size_gb" {
  description = "Expected size of the models, in GiB; an alert reports a larger size. null for no bucket."
  type        = number
  default     = null
  nullable    = true
}

variable "protected" {
  description = "Whether Filestore is regional and has deletion protection."
  type        = bool
  nullable    = false
}

variable "labels" {
  description = "Labels of all resources that support labels: lowercase letters, digits, hyphens and underscores, at most 63 characters (Google Cloud, \"Requirements for labels\")."
  type        = map(string)
  default     = {}
  nullable    = false
}
