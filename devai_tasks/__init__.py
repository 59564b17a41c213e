"""Invoke tasks that turn one configuration into a running Dev AI Lab."""
