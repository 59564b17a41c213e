"""Terraform: the cloud resources that a stack runs on."""
