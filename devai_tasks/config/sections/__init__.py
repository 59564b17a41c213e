"""Sections of the schema, one class each."""
