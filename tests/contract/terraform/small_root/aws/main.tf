# A minimal root with everything that the tasks handle: the providers' labels, a secret, prevent_destroy on data in a
# module, and a service that exists only if there is an image.

terraform {
  required_version = ">= 1.11"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.25, < 7"
    }
  }
  backend "s3" {}
}

provider "aws" {
  region              = var.region
  allowed_account_ids = [var.account]
  default_tags {
    tags = var.labels
  }
}

module "storage" {
  source = "../modules/storage/aws"

  name   = "${var.project_name}-${var.environment}"
  vpc_id = aws_vpc.this.id
}

resource "aws_vpc" "this" {
  cidr_block = "10.0.0.0/16"
}

resource "aws_ecr_repository" "this" {
  name                 = "${var.project_name}-${var.environment}"
  image_tag_mutability = "IMMUTABLE"
}

resource "aws_secretsmanager_secret" "this" {
  for_each = var.secret_versions

  name        = "${var.project_name}-${each.key}"
  description = var.host_name
}

resource "aws_secretsmanager_secret_version" "this" {
  for_each = var.secret_versions

  secret_id                = aws_secretsmanager_secret.this[each.key].id
  secret_string_wo         = lookup(var.secret_values, each.key, "")
  secret_string_wo_version = each.value
}

resource "terraform_data" "service" {
  count = var.image == null ? 0 : 1

  input = {
    image = var.image
    home  = module.storage.home
    cidrs = var.allowed_cidrs
  }
}
