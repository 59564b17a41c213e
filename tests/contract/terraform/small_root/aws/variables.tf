variable "project_name" {
  type = string
}

variable "environment" {
  type = string
}

variable "region" {
  type = string
}

variable "account" {
  type = string
}

variable "labels" {
  type = map(string)
}

variable "host_name" {
  type = string
}

variable "image" {
  type = string
}

variable "allowed_cidrs" {
  type = list(string)
}

variable "secret_versions" {
  type = map(number)
}

variable "secret_values" {
  type      = map(string)
  ephemeral = true
  sensitive = true
  default   = {}
}
