"""Kubernetes: the manifests of a stack, and the stack in its cluster."""
