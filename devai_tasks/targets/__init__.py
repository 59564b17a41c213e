"""Targets that a stack is rendered for and deployed to; each has a package with its rendering and deployment."""
