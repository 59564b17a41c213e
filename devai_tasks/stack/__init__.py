"""Workflow across the targets of a stack, and reports on a stack."""
