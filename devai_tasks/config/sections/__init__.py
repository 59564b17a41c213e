"""The sections of the schema, one class each."""
