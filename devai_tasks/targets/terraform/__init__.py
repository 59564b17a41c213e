"""Terraform: what a stack runs on in its cloud."""
