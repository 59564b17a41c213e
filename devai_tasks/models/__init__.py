"""Ollama: a client, pulling models, and archives of models."""
