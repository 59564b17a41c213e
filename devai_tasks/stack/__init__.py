"""Workflow across targets, and reports about a stack."""
