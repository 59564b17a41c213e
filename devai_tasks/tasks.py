"""The tasks, for the `tasks.py` of a project: what it imports stays where it is."""

from devai_tasks.cli.collections import namespace

__all__ = ["namespace"]
