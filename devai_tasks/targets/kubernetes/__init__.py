"""Kubernetes: manifests of a stack, and its deployment to a cluster."""
