"""Terraform without a cloud: recorded schemas of the providers, and a provider that answers with them.

What it says of names and types is the providers' own; what it says of values is made up. Every output that rests on it
says so.
"""
