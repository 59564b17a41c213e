# The record of a stack's owner, as in the shipped roots.

variable "name" { type = string }

variable "unique" { type = string }

variable "project_id" { type = string }

resource "terraform_data" "stack" {
  input = {
    name       = var.name
    unique     = var.unique
    project    = var.project_name
    project_id = var.project_id
    account    = var.account
    region     = var.region
  }
}
