"""Tasks for a project's `tasks.py`, at an import path that does not change."""

from devai_tasks.cli.collections import namespace

__all__ = ["namespace"]
