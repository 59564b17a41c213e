"""Terraform without a cloud: provider schema snapshots, and an offline provider that answers with them.

Names and types are those of the real providers; values are placeholders. Every output that is based on a snapshot says
so.
"""
